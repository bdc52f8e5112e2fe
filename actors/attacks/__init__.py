"""Adversaries, one a file: an honest peer with one behaviour replaced. `actors.attacks.catalogue` lists them."""
