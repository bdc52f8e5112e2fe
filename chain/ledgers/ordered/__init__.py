"""Endorse, order, commit: a permissioned ledger in the manner of Hyperledger Fabric."""
