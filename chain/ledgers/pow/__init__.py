"""Proof of work: heaviest chain, final a fixed number of blocks deep."""
