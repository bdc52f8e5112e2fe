"""What a phone senses where it is, and how that travels: sealed to who asked for it, and to be committed to beforehand."""

from hashlib import sha256
from random import Random

from nacl.exceptions import CryptoError

from actors.identity import Identity, seal_for
from actors.sensing.mobility import Point
from chain.codec import decode, encode
from chain.contracts.campaign_commitments import digest_sealed
from chain.contracts.campaign_records import MAX_SEALED_BYTES, SALT_BYTES, Bid, CampaignId, Number, Standing, Task
from chain.errors import MalformedError
from chain.values import AccountField, Natural, Value
from net.peer import PeerId

_SALT = b"crowdmesh:campaign:salt:1:"
_SEAL = b"crowdmesh:campaign:seal:1:"


class Reading(Value, frozen=True):
    """One sample: a temperature. Made by a worker, read by the task's requester alone."""

    worker: AccountField
    task: Number
    lat_e7: int
    lon_e7: int
    time_ms: Natural
    """When it was taken."""
    millikelvin: Natural


class Gathered(Value, frozen=True):
    """All that a worker brings home from a path."""

    digests: tuple[bytes, ...]
    """Of the sealed readings, in the order of the path."""
    salt: bytes
    sealed: tuple[bytes, ...]


def sense(where: Point, time_ms: int, worker: Identity, task: int, rng: Random) -> Reading:
    """A reading of a field that is warmer in the south and in the middle of a minute, with noise of 0.3 K."""
    field = 288_150 + 500 * (45 - where.lat) + 2 * abs(time_ms // 1000 % 60 - 30)
    return Reading(worker.account, task, *where.e7, time_ms, max(0, round(rng.gauss(field, 300))))


def gather(worker: Identity, standing: Standing, bid: Bid, tasks: dict[int, Task], rng: Random) -> Gathered:
    """Sense at every stop of a path and seal it to the requesters. The same again for the same `rng`: after a restart,
    too, the data are those that were committed to.
    """
    found = standing.campaign
    mark = found.id + found.cycle.to_bytes(4, "big")
    sealed = []
    for stop in bid.path:
        task = tasks[stop.task]
        where = Point.from_e7(task.lat_e7, task.lon_e7)
        reading = encode(sense(where, stop.arrival_ms, worker, stop.task, rng))
        secret = sha256(_SEAL + worker.secret + mark + reading).digest()
        sealed.append(seal_for(PeerId.from_public_key(task.requester), reading, secret))
    return Gathered(
        tuple(digest_sealed(each) for each in sealed), salt_of(worker, found.id, found.cycle), tuple(sealed)
    )


def salt_of(worker: Identity, campaign: CampaignId, cycle: int) -> bytes:
    """A secret of the worker's for one cycle."""
    return sha256(_SALT + worker.secret + campaign + cycle.to_bytes(4, "big")).digest()[:SALT_BYTES]


def read_sealed(requester: Identity, sealed: bytes) -> Reading:
    """What a worker sealed to us. Raises MalformedError: it is not to us, or no reading."""
    try:
        plain = requester.open_sealed(sealed)
    except (CryptoError, ValueError) as error:
        raise MalformedError(f"cannot be opened: {error}") from None
    return decode(Reading, plain, limit=MAX_SEALED_BYTES)
