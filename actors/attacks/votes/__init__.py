"""Adversaries of reports, votes and rewards, one a file: an actor with one behaviour replaced."""
