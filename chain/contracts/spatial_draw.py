"""The draw of a group, and how a group and its votes are hidden: pure functions for the contract and its actors.

The seed is H(id of the block `draw_delay` after the one that recorded the report ‖ report ‖ attempt), which nobody
knew when the report was made. Each attempt is a Fisher–Yates shuffle of the sorted candidates (its first `group_size`
steps: the rest changes nothing); the first attempt whose combination has never served counts.

What the contract has computed takes `hashed`: there it is the call's metered `Context.sha256`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chain.contracts.spatial_records import MAX_CANDIDATES, MAX_TICKET_DEPTH, SALT_BYTES, Assignment, Opening, Ticket
from chain.errors import Refused
from chain.merkle import Sha256, merkle_path, merkle_root, merkle_verify, sha256_of
from chain.values import Account, BlockId, TxId

MAX_DRAWS = 64
"""Attempts before the report is left to expire."""

_SEED = b"crowdmesh:spatial:draw:1:"
_COMBINATION = b"crowdmesh:spatial:combination:1:"
_CANDIDATES = b"crowdmesh:spatial:candidates:1:"
_TICKET = b"crowdmesh:spatial:ticket:1:"
_BALLOT = b"crowdmesh:spatial:ballot:1:"
_SALT = b"crowdmesh:spatial:salt:1:"
_WORD_LIMIT = 2**64


class _Chance:
    """Uniform integers out of SHA-256(seed ‖ counter), by rejection of 64-bit words."""

    def __init__(self, seed: bytes, hashed: Sha256) -> None:
        self._seed = seed
        self._hashed = hashed
        self._counter = 0
        self._words: list[int] = []

    def below(self, bound: int) -> int:
        """0 to bound - 1, all equally likely; 1 <= bound < 2**64."""
        limit = _WORD_LIMIT - _WORD_LIMIT % bound
        while True:
            if not self._words:
                block = self._hashed(self._seed + self._counter.to_bytes(8, "big"))
                self._counter += 1
                self._words = [int.from_bytes(block[at : at + 8], "big") for at in (24, 16, 8, 0)]
            word = self._words.pop()
            if word < limit:
                return word % bound


def draw_once(
    seed_block_id: BlockId,
    report: TxId,
    attempt: int,
    candidates: Sequence[Account],
    group_size: int,
    hashed: Sha256 = sha256_of,
) -> tuple[Account, ...]:
    """The sorted combination of one attempt; `candidates` are sorted, each once."""
    chance = _Chance(hashed(_SEED + seed_block_id + report + attempt.to_bytes(4, "big")), hashed)
    pool = list(candidates)
    size = min(group_size, len(pool))
    for place in range(size):
        other = place + chance.below(len(pool) - place)
        pool[place], pool[other] = pool[other], pool[place]
    return tuple(sorted(pool[:size]))


def combination_id(group: Sequence[Account], hashed: Sha256 = sha256_of) -> bytes:
    """What a sorted combination that has served is remembered by: 32 bytes."""
    return hashed(_COMBINATION + b"".join(group))


def draw_group(
    seed_block_id: BlockId,
    report: TxId,
    candidates: Collection[Account],
    group_size: int,
    served: Callable[[bytes], bool],
    hashed: Sha256 = sha256_of,
) -> tuple[int, tuple[Account, ...]] | None:
    """(attempt, sorted group) of the first attempt whose `combination_id` has not `served`; None within MAX_DRAWS.

    The group has `group_size` members, or all candidates when they are fewer. Raises ValueError when there are no
    candidates or more than MAX_CANDIDATES: an assigner takes the nearest then.
    """
    ordered = sorted(set(candidates))
    if not 0 < len(ordered) <= MAX_CANDIDATES:
        raise ValueError(f"{len(ordered)} candidates, allowed are 1 to {MAX_CANDIDATES}")
    attempts = 1 if len(ordered) <= group_size else MAX_DRAWS
    for attempt in range(attempts):
        group = draw_once(seed_block_id, report, attempt, ordered, group_size, hashed)
        if not served(combination_id(group, hashed)):
            return attempt, group
    return None


def _ticket_leaf(report: TxId, worker: Account, salt: bytes, hashed: Sha256 = sha256_of) -> bytes:
    return hashed(_TICKET + report + worker + salt)


def commit_candidates(report: TxId, candidates: Sequence[Account], salt: bytes, hashed: Sha256 = sha256_of) -> bytes:
    """Commitment to the sorted candidates."""
    return hashed(_CANDIDATES + report + salt + b"".join(candidates))


def commit_ballot(report: TxId, worker: Account, confirm: bool, salt: bytes, hashed: Sha256 = sha256_of) -> bytes:
    """Commitment to a vote; `salt` is SALT_BYTES that nobody else knows. It names the worker, so a copy is void."""
    return hashed(_BALLOT + report + worker + (b"\x01" if confirm else b"\x00") + salt)


@dataclass(frozen=True, slots=True)
class SealedGroup:
    """A drawn group as its assigner hides it."""

    candidates_commitment: bytes
    group_root: bytes
    tickets: dict[Account, Ticket]
    """For each worker its own, to be sent to it alone; in the order of the sorted group."""
    opening: Opening


def seal_group(report: TxId, candidates: Collection[Account], group: Sequence[Account], secret: bytes) -> SealedGroup:
    """Hide a sorted `group`. All salts come from `secret`, 32 bytes that nobody else knows: keep that to seal again."""
    ordered = tuple(sorted(set(candidates)))
    salts = tuple(sha256_of(_SALT + secret + report + worker)[:SALT_BYTES] for worker in group)
    candidates_salt = sha256_of(_SALT + secret + report)[:SALT_BYTES]
    leaves = _leaves(report, group, salts)
    tickets = {
        worker: Ticket(salt, merkle_path(leaves, leaves.index(_ticket_leaf(report, worker, salt))))
        for worker, salt in zip(group, salts, strict=True)
    }
    return SealedGroup(
        candidates_commitment=commit_candidates(report, ordered, candidates_salt),
        group_root=merkle_root(leaves),
        tickets=tickets,
        opening=Opening(ordered, candidates_salt, salts),
    )


def _leaves(report: TxId, group: Sequence[Account], salts: Sequence[bytes], hashed: Sha256 = sha256_of) -> list[bytes]:
    """Sorted by hash: a ticket's place in the tree says nothing about its bearer's place among the others."""
    return sorted(_ticket_leaf(report, worker, salt, hashed) for worker, salt in zip(group, salts, strict=True))


def group_root(report: TxId, group: Sequence[Account], salts: Sequence[bytes], hashed: Sha256 = sha256_of) -> bytes:
    """The root that `seal_group` made, from what the opening shows. Raises ValueError when the lengths differ."""
    return merkle_root(_leaves(report, group, salts, hashed), hashed)


def holds_ticket(root: bytes, report: TxId, worker: Account, ticket: Ticket, hashed: Sha256 = sha256_of) -> bool:
    """Whether `worker` is in the group hidden in `root`."""
    if ticket.path.count > 2**MAX_TICKET_DEPTH:
        return False
    return merkle_verify(root, _ticket_leaf(report, worker, ticket.salt, hashed), ticket.path, hashed)


def replay_draw(
    seed_block_id: BlockId,
    report: TxId,
    assignment: Assignment,
    opening: Opening,
    group_size: int,
    served: Callable[[bytes], bool],
    hashed: Sha256 = sha256_of,
) -> tuple[int, tuple[Account, ...]]:
    """(attempt, sorted group) of the draw that an opened assignment committed to.

    `served`: whether a `combination_id` had served before the assignment. Raises Refused: ``opening_mismatch`` (not the
    candidates that were committed to); ``candidates_unsorted``; ``group_not_drawn`` (chance gives another group).
    """
    candidates = opening.candidates
    if commit_candidates(report, candidates, opening.candidates_salt, hashed) != assignment.candidates_commitment:
        raise Refused("opening_mismatch", "these are not the candidates that were committed to")
    if any(left >= right for left, right in pairwise(candidates)):
        raise Refused("candidates_unsorted")
    drawn = draw_group(seed_block_id, report, candidates, group_size, served, hashed)
    if drawn is None:
        raise Refused("group_not_drawn", "every combination drawn has served before")
    attempt, group = drawn
    if len(opening.salts) != len(group) or group_root(report, group, opening.salts, hashed) != assignment.group_root:
        raise Refused("group_not_drawn", f"attempt {attempt} gives another group")
    return drawn
