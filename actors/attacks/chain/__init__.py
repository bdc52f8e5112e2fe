"""Adversaries of the proof-of-work ledger, one a file: a replica with one behaviour replaced."""
