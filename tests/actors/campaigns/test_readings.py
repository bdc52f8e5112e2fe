"""What a worker senses is the same again after a restart, and for its requester alone."""

from random import Random

import pytest
from msgspec.structs import replace

from actors.campaigns.readings import Reading, gather, read_sealed, salt_of
from actors.identity import Identity, seal, seal_for
from chain.codec import encode
from chain.contracts.campaign_commitments import digest_sealed
from chain.contracts.campaign_records import MAX_SEALED_BYTES, SALT_BYTES, Bid, Stop
from chain.errors import MalformedError
from tests.chain.campaign_town import Fair

WORKER, OTHER = Identity(b"\1" * 32), Identity(b"\2" * 32)
REQUESTER = Identity(b"\3" * 32)
STANDING = Fair().standing


@pytest.fixture
def tasks():
    fair = Fair().to("bidding")
    return {task.number: replace(task, requester=REQUESTER.account) for task in fair.tasks}


def gathered(tasks, worker=WORKER, cycle=0, seed=5):
    standing = STANDING
    bid = Bid(worker.account, 0, tuple(Stop(number, 1_000_000 + number) for number in (1, 0)))
    assert standing.campaign.cycle == cycle
    return gather(worker, standing, bid, tasks, Random(seed))


def test_the_same_again(tasks):
    assert gathered(tasks) == gathered(tasks)
    assert gathered(tasks).digests != gathered(tasks, seed=6).digests
    assert set(gathered(tasks).sealed).isdisjoint(gathered(tasks, OTHER).sealed)
    assert gathered(tasks).salt != gathered(tasks, OTHER).salt


def test_the_requester_reads_it_and_nobody_else(tasks):
    made = gathered(tasks)
    readings = [read_sealed(REQUESTER, sealed) for sealed in made.sealed]
    assert [(reading.worker, reading.task, reading.time_ms) for reading in readings] == [
        (WORKER.account, 1, 1_000_001),
        (WORKER.account, 0, 1_000_000),
    ]
    assert made.digests == tuple(digest_sealed(sealed) for sealed in made.sealed)
    assert max(map(len, made.sealed)) < MAX_SEALED_BYTES
    for reader in (WORKER, OTHER):
        with pytest.raises(MalformedError, match="cannot be opened"):
            read_sealed(reader, made.sealed[0])


@pytest.mark.parametrize("plain", [b"", b"\xc0", b"\x90", b"\x91\x01", bytes(5_000)], ids=len)
def test_what_is_no_reading__reject(plain):
    with pytest.raises(MalformedError):
        read_sealed(REQUESTER, seal(REQUESTER.peer_id, plain))


@pytest.mark.parametrize("sealed", [b"", bytes(31), bytes(48), bytes(4_096)], ids=len)
def test_what_is_not_sealed__reject(sealed):
    with pytest.raises(MalformedError, match="cannot be opened"):
        read_sealed(REQUESTER, sealed)


def test_a_reading_with_something_behind_it__reject():
    reading = encode(Reading(WORKER.account, 0, 1, 2, 3, 4))
    read_sealed(REQUESTER, seal(REQUESTER.peer_id, reading))
    with pytest.raises(MalformedError):
        read_sealed(REQUESTER, seal(REQUESTER.peer_id, reading + b"\0"))


def test_salts_are_of_one_worker_campaign_and_cycle():
    salts = {salt_of(who, bytes([c]) * 32, cycle) for who in (WORKER, OTHER) for c in (1, 2) for cycle in (0, 1)}
    assert len(salts) == 8 and {len(salt) for salt in salts} == {SALT_BYTES}


def test_sealing_for_somebody_with_a_secret_is_sealing_that_can_be_done_again():
    secret = bytes(range(32))
    sealed = seal_for(REQUESTER.peer_id, b"warm", secret)
    assert REQUESTER.open_sealed(sealed) == b"warm"
    assert sealed == seal_for(REQUESTER.peer_id, b"warm", secret)
    assert len(sealed) == len(seal(REQUESTER.peer_id, b"warm"))
    assert sealed[:32] != seal_for(REQUESTER.peer_id, b"warm", bytes(32))[:32]
    assert sealed[:32] not in (REQUESTER.account, secret)
