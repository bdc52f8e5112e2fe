"""Figures that a router keeps about itself."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What happened since the router was made; for reports and metrics."""

    frames: int = 0
    """Frames received from linked peers."""
    published: int = 0
    accepted: int = 0
    """Messages of others that got ACCEPT while their topic was joined."""
    duplicates: int = 0
    """Copies received of messages that were seen already."""
    forwarded: int = 0
    """Copies sent: to meshes, for IWANT, and of own messages."""
    ignored: int = 0
    """Messages with verdict IGNORE."""
    rejected: int = 0
    """Messages with verdict REJECT."""
    overflowed: int = 0
    """Messages dropped because too many await their verdict; counted as `ignored` too."""
    unwanted: int = 0
    """Messages of topics not joined, and own ones that came back."""
    graylisted: int = 0
    """Frames not read because of their sender's score."""
    heartbeats: int = 0
    advertised: int = 0
    """Ids sent in IHAVE."""
    wanted: int = 0
    """Ids sent in IWANT."""
    declined: int = 0
    """Ids sent in IDONTWANT, once per peer."""
