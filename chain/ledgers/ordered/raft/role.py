"""What a node is at a moment."""

from enum import Enum


class Role(Enum):
    """See the package's docstring for what changes it."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"
