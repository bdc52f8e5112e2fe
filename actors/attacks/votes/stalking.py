"""Stalking: somebody who only reads the chain works out where a worker goes.

Attacked: the privacy of workers. Votes are signed by an account, and reports have a place: all reports that an account
voted on are places that one person was near, with dates.
Budget: none: the chain is public.
Success: two reports of one worker are linked, that is, voted on by the same account. Attempts are pairs of reports that a
worker voted on.
Defence: none in this row. The group is hidden until the tally and its place is never on the chain, which hides who looks
while it looks; it does not hide the history of a key. A fresh key per task does, and forfeits what history earns.
Source: spec, "stalking identities".
"""

from collections import Counter

from actors.attacks.case import Case, Measured, Size
from actors.protocol_trial import HONEST, Plot, incidents, play


def _stalk(defended: bool, seed: int, size: Size) -> Measured:
    del defended
    ending = play(Plot({HONEST: incidents(seed, HONEST, size.reports, real=True)}), seed)
    people = {account: ending.world.names.get(bytes(account), "?") for account in _voters(ending.events("voted"))}
    by_person = Counter(people[account] for account in _voters(ending.events("voted")))
    by_account = Counter(_voters(ending.events("voted")))
    return Measured(
        _pairs(by_account), _pairs(by_person), {"tasks per worker": sum(by_person.values()) / len(by_person)}
    )


def _voters(voted: list[dict[str, bytes]]) -> list[bytes]:
    return [each["worker"] for each in voted]


def _pairs(counts: Counter[str] | Counter[bytes]) -> int:
    return sum(count * (count - 1) // 2 for count in counts.values())


STALKING = Case(
    name="stalking",
    family="votes",
    goal="two reports that a worker voted on are linked by what is on the chain",
    budget="reading the chain",
    defence="none: a worker has one key (with a fresh key per task nothing links them)",
    source="malicious worker: stalking identities",
    run=_stalk,
    stands="a worker votes under one key",
)
