"""Ways to agree on the order of transactions. Each implements `chain.ledger.LedgerCore`."""
