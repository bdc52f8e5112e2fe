"""Repeated submission: one incident is reported, and paid for, again and again.

Attacked: rewards, and who reads the reports. In `repeat` a requester submits what it saw three times, some seconds and a few
metres apart. In `race-report` two keys of one person submit two versions at the same moment, so that neither is on the
ledger when the other is checked. A newbie who does not know better does the same as the first.
Budget: a requester, or two.
Success: an incident is confirmed more than once.
Defence: a report nearer than 100 m and 5 min to an earlier one of its type is refused; blocks carry transactions out one
after the other, so that of two at once one comes first. Off: `duplicate_radius_m = 0`.
Not tested here: who moves its second report 101 m further. Voters look for what is reported at that place, and do not find it.
Source: spec, "repeated submission", "race attack", "duplicate" of newbies; "Report life cycle", 1.
"""

from functools import partial
from random import Random

from actors.attacks.case import Case, Measured, Size
from actors.protocol_trial import ACCOMPLICE, DUPLICATE_RADIUS_M, HONEST, Plot, incidents, play
from actors.sensing.city import Incident
from actors.sensing.mobility import around
from chain.contracts.spatial_records import CONFIRMED

REPEATS = 3
APART_MS = 4_000
APART_M = 10.0


def _again(incident: Incident, after_ms: int, rng: Random) -> Incident:
    return Incident(incident.time_ms + after_ms, incident.type, around(incident.where, APART_M, rng), incident.real)


def _duplicate(at_once: bool, defended: bool, seed: int, size: Size) -> Measured:
    seen = incidents(seed, ACCOMPLICE, size.reports, real=True, every_ms=REPEATS * APART_MS)
    rng = Random(f"{seed}/duplicates")
    if at_once:
        reports = {ACCOMPLICE: seen, HONEST: [_again(each, 0, rng) for each in seen]}
    else:
        repeated = [_again(each, n * APART_MS, rng) if n else each for each in seen for n in range(REPEATS)]
        reports = {ACCOMPLICE: sorted(repeated, key=lambda each: each.time_ms)}
    ending = play(Plot(reports, rules={"duplicate_radius_m": DUPLICATE_RADIUS_M if defended else 0}), seed)
    statuses = ending.statuses()
    times = [0] * len(seen)
    for report, (type_, lat_e7, lon_e7) in ending.submitted().items():
        for number, each in enumerate(seen):
            near = abs(each.where.e7[0] - lat_e7) + abs(each.where.e7[1] - lon_e7) < 10_000
            times[number] += statuses[report] == CONFIRMED and each.type == type_ and near
    return Measured(
        sum(count > 1 for count in times), len(seen), {"confirmed at all": sum(map(bool, times)) / len(seen)}
    )


def _case(name: str, *, at_once: bool, source: str) -> Case:
    return Case(
        name=name,
        family="votes",
        goal="one incident is confirmed more than once",
        budget="two keys, two versions at once"
        if at_once
        else f"one requester, {REPEATS} times {APART_MS // 1000} s apart",
        defence=f"duplicates within {DUPLICATE_RADIUS_M} m and 5 min are refused; off: radius 0",
        source=source,
        run=partial(_duplicate, at_once),
    )


DUPLICATES = (
    _case("repeat", at_once=False, source="malicious requester: repeated submission; newbies: duplicate"),
    _case("race-report", at_once=True, source="network: race attack"),
)
