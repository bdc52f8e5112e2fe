"""All attacks on reports, votes and rewards."""

from actors.attacks.votes.alteration import ALTERATION
from actors.attacks.votes.assigners import ASSIGNERS
from actors.attacks.votes.careless import CARELESSNESS
from actors.attacks.votes.copying import COPYING
from actors.attacks.votes.double_vote import DOUBLE_VOTE
from actors.attacks.votes.duplicates import DUPLICATES
from actors.attacks.votes.hired_voters import HIRED_VOTERS
from actors.attacks.votes.late_miner import LATE_MINER
from actors.attacks.votes.location import LOCATION
from actors.attacks.votes.plagiarism import PLAGIARISM
from actors.attacks.votes.rejecting import REJECTING
from actors.attacks.votes.stalking import STALKING

VOTE_CASES = (
    *DUPLICATES,
    ALTERATION,
    *PLAGIARISM,
    *HIRED_VOTERS,
    *ASSIGNERS,
    DOUBLE_VOTE,
    *LOCATION,
    STALKING,
    *CARELESSNESS,
    *REJECTING,
    COPYING,
    *LATE_MINER,
)
