"""Participants: who they are, what they do, and the populations and worlds they live in."""
