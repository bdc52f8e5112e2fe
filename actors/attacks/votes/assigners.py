"""MEC nodes that want an accomplice's reports confirmed: they skip the vote, or choose who votes.

Attacked: what is recorded as true. A MEC node attests who is present, draws the group and opens it at the tally; here it
does so for a requester who makes reports up.
`skip-confirmation`: it asks nobody, and tallies. Off: a contract that takes the assigner's word for the count.
`cheating-assigner`: it gives the tickets to four hired voters and one more, whom the draw did not give. Defence: the
contract draws again from what is opened at the tally, and refuses another group. Off: a contract that does not.
`lying-assigner`: it claims that nobody but the hired voters is present, and draws from these by the rules. It needs more of
them, for no combination serves twice: of four there is one, of seven there are 21.
Budget: the MEC node, and four hired voters of 15 or seven.
Success: a made-up report is confirmed.
What remains: who is present is the MEC node's word. The draw proves that it chose by chance among those whom it names, and
not that it named all; the candidates it named are public after the tally, so that others can see what it does, and stop
using it. The paper trusts MEC nodes in this, and so do we.
Source: spec, "skipping confirmation", "false report with hired voters"; "Assign".
"""

from collections.abc import Mapping
from functools import partial
from types import ModuleType

from actors.actor import Actor
from actors.attacks.case import Case, Measured, Size
from actors.attacks.votes.variants import tally_any_group, tally_by_word, variant
from actors.attacks.votes.voters import Ring, hired, recorded_lies
from actors.mec import MecNode
from actors.population import Member
from actors.protocol_trial import ACCOMPLICE, WORKERS, Plot, incidents, play, workers
from actors.trial import Turn
from chain.contracts import spatial
from chain.contracts.spatial_draw import SealedGroup, seal_group
from chain.contracts.spatial_records import Content, Report
from chain.values import Account, BlockId, TxId

HIRED = 4
MANY = 7
"""Hired by the liar: of four there is one group, and no group serves twice."""
MEC = "mec-01"


class CrookedMec(MecNode):
    """A MEC node that is honest about all but its accomplice's reports."""

    def __init__(self, honest: MecNode, member: Member, friends: set[Account], requester: Account) -> None:
        if member.place is None:
            raise TypeError(f"{member.name} is nowhere")
        super().__init__(honest.node, honest.world.scenario.population.mec, member.place)
        self.friends, self._requester = friends, requester
        self.wanted: set[TxId] = set()
        """The accomplice's reports."""

    async def _assign(self, report: TxId, view: Report, content: Content) -> SealedGroup | None:
        if content.requester == self._requester:
            self.wanted.add(report)
        return await super()._assign(report, view, content)


class Skipper(CrookedMec):
    """Asks nobody to vote."""

    async def _send_ballots(
        self,
        report: TxId,
        content: Content,
        sealed: SealedGroup,
        bearers: Mapping[Account, Account],
        assigned_ms: int,
    ) -> None:
        if report not in self.wanted:
            await super()._send_ballots(report, content, sealed, bearers, assigned_ms)


class Cheat(CrookedMec):
    """Gives the tickets to a group of its own choice."""

    def _draw(self, report: TxId, seed: BlockId, candidates: list[Account]) -> SealedGroup | None:
        if report not in self.wanted:
            return super()._draw(report, seed, candidates)
        others = [each for each in candidates if each not in self.friends]
        group = sorted([*sorted(self.friends), *others][: self._rules.group_size])
        return seal_group(report, self.opened(candidates, group), group, self._secret)

    def opened(self, candidates: list[Account], group: list[Account]) -> list[Account]:
        """Whom to name as candidates at the tally."""
        del group
        return candidates


class BoldCheat(Cheat):
    """The same where nobody draws again: there the group itself is what is opened."""

    def opened(self, candidates: list[Account], group: list[Account]) -> list[Account]:
        """See `Cheat.opened`."""
        del candidates
        return group


class Liar(CrookedMec):
    """Attests the presence of nobody but friends."""

    def _candidates(self, content: Content) -> list[Account]:
        present = super()._candidates(content)
        return [each for each in present if each in self.friends or content.requester != self._requester]


def _crooked(kind: type[CrookedMec], hired_voters: int) -> Turn:
    def turn(actor: Actor, member: Member) -> Actor:
        if not isinstance(actor, MecNode):
            raise TypeError(f"{member.name} is no MEC node")
        accounts = {name: Account(key) for key, name in actor.world.names.items()}
        return kind(actor, member, {accounts[name] for name in workers(hired_voters)}, accounts[ACCOMPLICE])

    return turn


Kinds = tuple[type[CrookedMec], type[CrookedMec]]
"""Who attacks without the defence, and who with it."""


def _record_lies(kinds: Kinds, count: int, off: ModuleType, defended: bool, seed: int, size: Size) -> Measured:
    lies = incidents(seed, ACCOMPLICE, size.reports, real=False)
    friends = dict.fromkeys(workers(count), hired(Ring.about(lies)))
    plot = Plot(
        {ACCOMPLICE: lies},
        turned={**friends, MEC: _crooked(kinds[defended], count)},
        contract=spatial if defended else off,
    )
    return Measured(*recorded_lies(play(plot, seed)))


def _case(name: str, kinds: Kinds, off: ModuleType, defence: str, *, count: int = HIRED, stands: str = "") -> Case:
    return Case(
        name=name,
        family="votes",
        goal="a made-up report is confirmed",
        budget=f"the MEC node and {count} of {WORKERS} workers",
        defence=defence,
        source="malicious requester: skipping confirmation; false report with hired voters",
        run=partial(_record_lies, kinds, count, off),
        limit=0.5,
        stands=stands,
    )


_DRAWN = "the contract draws again at the tally; off: the assigner names the group"

ASSIGNERS = (
    _case(
        "skip-confirmation",
        (Skipper, Skipper),
        variant(tally=tally_by_word),
        "the contract counts the votes; off: the assigner says what they were",
    ),
    _case("cheating-assigner", (BoldCheat, Cheat), variant(tally=tally_any_group), _DRAWN),
    _case(
        "lying-assigner",
        (BoldCheat, Liar),
        variant(tally=tally_any_group),
        _DRAWN,
        count=MANY,
        stands="who is present is its word",
    ),
)
