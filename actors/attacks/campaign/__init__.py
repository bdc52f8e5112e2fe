"""Adversaries of sensing campaigns, one a file: an actor with one behaviour replaced."""
