"""Stalking: somebody who only reads the chain works out where a worker goes.

Attacked: the privacy of workers. Votes are signed by an account, and reports have a place: all reports that an account
voted on are places that one person was near, with dates.
Budget: none: the chain is public.
Success: two reports of one worker are linked, that is, voted on by the same account. Attempts are pairs of reports that a
worker voted on.
Defence: a fresh key for each task, which forfeits what a history earns. Off: one key.
What remains: the MEC node that draws a worker knows its keys, and sees where it is. Who follows the network rather than the
chain sees which peer a vote comes from first. Neither is measured here.
Source: spec, "stalking identities".
"""

from collections import Counter

from actors.attacks.case import Case, Measured, Size
from actors.protocol_trial import HONEST, Plot, incidents, play
from actors.worker import Worker


def _stalk(defended: bool, seed: int, size: Size) -> Measured:
    reports = {HONEST: incidents(seed, HONEST, 2 * size.reports, real=True)}
    ending = play(Plot(reports, pseudonyms=defended), seed)
    people: dict[bytes, str] = {}
    for name, actor in ending.actors.items():
        if isinstance(actor, Worker):
            people[actor.identity.account] = name
            people.update(dict.fromkeys(actor.pseudonyms.used() if actor.pseudonyms is not None else (), name))
    voters = [each["worker"] for each in ending.events("voted")]
    by_account = Counter(voters)
    by_person = Counter(people[account] for account in voters)
    figures = {"tasks per worker": len(voters) / max(1, len(by_person))}
    return Measured(_pairs(by_account), _pairs(by_person), figures)


def _pairs(counts: Counter[str] | Counter[bytes]) -> int:
    return sum(count * (count - 1) // 2 for count in counts.values())


STALKING = Case(
    name="stalking",
    family="votes",
    goal="two reports that a worker voted on are linked by what is on the chain",
    budget="reading the chain",
    defence="a fresh key for each task; off: one key",
    source="malicious worker: stalking identities",
    run=_stalk,
)
