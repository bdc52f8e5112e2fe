"""What is hidden in a campaign and how, and who is drawn: pure functions for the contract and its actors.

`hashed` is how to hash: the contract's own way counts gas.
"""

from collections.abc import Collection, Sequence

from chain.codec import encode
from chain.contracts.campaign_records import CampaignId, Selection
from chain.merkle import Sha256, sha256_of
from chain.values import Account, BlockId

_DATA = b"crowdmesh:campaign:data:1:"
_ORACLE = b"crowdmesh:campaign:oracle:1:"
_RESULT = b"crowdmesh:campaign:result:1:"


def commit_data(
    campaign: CampaignId,
    cycle: int,
    worker: Account,
    digests: Sequence[bytes],
    salt: bytes,
    hashed: Sha256 = sha256_of,
) -> bytes:
    """H(data ‖ salt) of the collection phase, where data are the digests of what goes to the requesters, in path order.

    It names its worker: a copy of somebody else's is worth nothing.
    """
    return hashed(_DATA + encode((campaign, cycle, worker, tuple(digests), salt)))


def digest_sealed(sealed: bytes, hashed: Sha256 = sha256_of) -> bytes:
    """What is committed to of the data of one task, sealed to its requester: so that who was given it can be shown."""
    return hashed(sealed)


def digest_result(selection: Selection, hashed: Sha256 = sha256_of) -> bytes:
    """What results of several oracles are compared by."""
    return hashed(_RESULT + encode(selection))


def draw_oracles(
    seed: BlockId,
    campaign: CampaignId,
    cycle: int,
    oracles: Collection[Account],
    passed_over: Collection[Account],
    count: int,
    hashed: Sha256 = sha256_of,
) -> tuple[Account, ...]:
    """The `count` oracles (fewer if there are not so many) with the lowest digests, sorted; never those passed over.

    Nobody knew the seed when they registered, nor when the draw was due.
    """

    def chance(oracle: Account) -> bytes:
        return hashed(_ORACLE + seed + campaign + cycle.to_bytes(4, "big") + oracle)

    able = sorted(set(oracles) - set(passed_over), key=chance)
    return tuple(sorted(able[:count]))
