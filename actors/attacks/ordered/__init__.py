"""Attacks on an ordered ledger: by endorsers, orderers, clients, and by who got hold of a key or a store."""
