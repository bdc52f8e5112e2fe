"""What actors do in sensing campaigns (`chain.contracts.campaign`).

Every actor looks at the campaigns on its ledger, does what is due in their phases, and looks again when that may have
changed: what it does follows from the ledger and its own key, not from what it remembers. So it goes on after a restart,
and what an answer was lost of is simply seen to have been done.
"""
