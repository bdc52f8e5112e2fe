"""Lets the faults of a scenario strike: at their time, in the run's order, each written into the journal.

One task with one agenda carries them out, in real and in virtual time alike. What is drawn (who is struck by a share,
when churn strikes) follows from the run's seed. A fault that is due before all actors are up strikes when they are.

Where several processes run a population, each has the whole schedule and draws the same; it strikes its own actors, and
its ends of links.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from random import Random

import trio

from actors.fault_config import (
    Churn,
    Clog,
    Crash,
    Fault,
    Heal,
    Hold,
    Partition,
    Release,
    Restart,
    Skew,
    choose,
    choose_groups,
    kind_of,
    problems,
)
from actors.population import Member
from actors.scenario import ABSENT, ScenarioError
from actors.split_watch import SplitWatch
from actors.swarm import Swarm
from net.gate import Gate
from net.memory import MemoryNetwork
from net.memory_conditions import INFINITY, SOUND, Impairment
from net.peer import PeerId


@dataclass(frozen=True, slots=True)
class _LinkFault:
    """A fault of links that is on: which group an actor is in, or that it is one of those struck (group 0)."""

    fault: Partition | Clog | Hold
    group: Mapping[PeerId, int]

    def strikes(self, source: PeerId, target: PeerId) -> bool:
        a, b = self.group.get(source), self.group.get(target)
        if self.fault.groups is None:
            return a is not None or (b is not None and not self.fault.one_way)
        if a is None or b is None or a == b:
            return False
        return a < b or not self.fault.one_way


@dataclass(frozen=True, slots=True)
class _Churning:
    """An actor that leaves and comes back until some time (on trio's clock)."""

    number: int
    fault: Churn
    name: str
    until: float
    rng: Random


class Faults:
    """Carries out the faults of a swarm's scenario among `everybody`, the swarm's members or more.

    `network` is None where there are no memory links, `gate` where there is no partition. `tells_all`: whether faults are
    written into our journal, and not into another process's. Raises ScenarioError, with the number of the fault and its
    key, for actors that there are not.
    """

    def __init__(
        self,
        swarm: Swarm,
        everybody: Sequence[Member],
        network: MemoryNetwork | None,
        gate: Gate | None,
        *,
        tells_all: bool = True,
    ) -> None:
        self._swarm, self._world, self._network, self._gate = swarm, swarm.world, network, gate
        self._tells_all = tells_all
        self._roles: dict[str, list[str]] = {}
        for member in everybody:
            self._roles.setdefault(member.role, []).append(member.name)
        for role in ABSENT[swarm.world.scenario.ledger.kind]:
            self._roles.setdefault(role, [])  # a scenario that strikes miners runs on another ledger as well
        self._peers = {member.name: member.identity.peer_id for member in everybody}
        self._faults = swarm.world.scenario.faults
        wrong = [f"faults[{number}].{why}" for number, f in enumerate(self._faults) for why in problems(f, self._roles)]
        wrong += [
            f"faults[{number}].tear_disk: stores are in memory; give --data"
            for number, fault in enumerate(self._faults)
            if isinstance(fault, Crash) and fault.tear_disk and not swarm.can_tear
        ]
        if wrong:
            raise ScenarioError("scenario: " + "; ".join(wrong))
        self._splits = SplitWatch(self._world)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._entered = 0
        self._on: dict[int, _LinkFault] = {}
        self._down_by: dict[str, int] = {}
        """Who is down, and by which fault."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Strike until cancelled; returns when nothing is left to do. Call it when the swarm is up."""
        clock = self._world.clock
        began = trio.current_time() - (clock.now_ms() - self._world.started_ms) / 1000
        for number, fault in enumerate(self._faults):
            self._enter(began + fault.at_s, partial(self._strike, number, fault))
        task_status.started()
        while self._agenda:
            await trio.sleep_until(self._agenda[0][0])
            heappop(self._agenda)[2]()

    def _enter(self, when: float, action: Callable[[], None]) -> None:
        self._entered += 1
        heappush(self._agenda, (when, self._entered, action))

    def _after(self, seconds: float | None, action: Callable[[], None]) -> None:
        if seconds is not None:
            self._enter(trio.current_time() + seconds, action)

    def _record(self, number: int, fault: Fault, phase: str, **fields: object) -> None:
        if self._tells_all:
            self._world.journal.record("faults", "fault", number=number, fault=kind_of(fault), phase=phase, **fields)

    def _chosen(self, number: int, selectors: Sequence[str]) -> list[str]:
        return choose(selectors, self._roles, self._world.rng("faults", str(number)))

    def _strike(self, number: int, fault: Fault) -> None:
        match fault:
            case Partition() | Clog() | Hold():
                self._begin(number, fault)
            case Heal() | Release():
                self._record(number, fault, "begin")
                ended = Hold if isinstance(fault, Release) else Partition | Clog
                for other in [n for n, on in self._on.items() if isinstance(on.fault, ended)]:
                    self._end(other)
            case Crash():
                names = self._chosen(number, fault.actors)
                self._record(number, fault, "begin", actors=names, lose_disk=fault.lose_disk, tear_disk=fault.tear_disk)
                for name in names:
                    self._stop(number, name, lose_disk=fault.lose_disk, tear_disk=fault.tear_disk)
                self._after(fault.for_s, partial(self._end_crash, number, fault, names))
            case Restart():
                names = self._chosen(number, fault.actors)
                self._record(number, fault, "begin", actors=names)
                for name in names:
                    self._stop(number, name)
                    self._start(number, name)
            case Skew():
                names = self._chosen(number, fault.actors)
                self._skew(number, fault, names, fault.skew_ms, "begin")
                self._after(fault.for_s, partial(self._skew, number, fault, names, 0, "end"))
            case Churn():
                names = self._chosen(number, fault.actors)
                self._record(number, fault, "begin", actors=names, lose_disk=fault.lose_disk)
                until = trio.current_time() + (fault.for_s or INFINITY)
                for name in (name for name in names if name in self._swarm.states):
                    self._plan_leaving(_Churning(number, fault, name, until, self._world.rng(name, f"churn/{number}")))
                self._after(fault.for_s, partial(self._record, number, fault, "end", actors=names))

    # Links. ---------------------------------------------------------------------------------------------------

    def _begin(self, number: int, fault: Partition | Clog | Hold) -> None:
        if fault.groups is not None:
            groups = choose_groups(fault.groups, self._roles, self._world.rng("faults", str(number)))
        else:
            assert not isinstance(fault, Partition)  # noqa: S101 - which has groups
            groups = [self._chosen(number, fault.actors or ())]
        group = {self._peers[name]: place for place, names in enumerate(groups) for name in names}
        self._record(number, fault, "begin", groups=groups, one_way=fault.one_way)
        self._on[number] = _LinkFault(fault, group)
        if isinstance(fault, Partition):
            self._splits.begin(number, groups)
        self._impair()
        self._after(fault.for_s, partial(self._end, number))

    def _end(self, number: int) -> None:
        on = self._on.pop(number, None)
        if on is None:
            return  # healed before its time
        self._record(number, on.fault, "end")
        self._impair()

    def _impair(self) -> None:
        on = tuple(self._on.values())
        if self._network is not None:
            self._network.impair(partial(_trouble, on))
        if self._gate is not None:
            self._gate.cut(partial(_is_cut, on))

    # Actors. --------------------------------------------------------------------------------------------------

    def _stop(self, number: int, name: str, *, lose_disk: bool = False, tear_disk: bool = False) -> None:
        if name not in self._swarm.states:
            return  # another process runs it, and does the same
        self._down_by[name] = number
        self._swarm.stop(name, lose_disk=lose_disk, tear_disk=tear_disk)

    def _start(self, number: int, name: str) -> None:
        """Start who is down by that fault: another one may have struck since."""
        if self._down_by.get(name) == number:
            del self._down_by[name]
            self._swarm.start(name)

    def _end_crash(self, number: int, fault: Crash, names: Sequence[str]) -> None:
        self._record(number, fault, "end", actors=names)
        for name in names:
            self._start(number, name)

    def _skew(self, number: int, fault: Skew, names: Sequence[str], skew_ms: int, phase: str) -> None:
        self._record(number, fault, phase, actors=names, skew_ms=skew_ms)
        for name in names:
            if name in self._swarm.states:
                self._swarm.set_clock(name, skew_ms)

    def _plan_leaving(self, churning: _Churning) -> None:
        rate = churning.fault.leaves_per_minute / 60
        when = trio.current_time() + churning.rng.expovariate(rate)
        if when < churning.until:
            self._enter(when, partial(self._leave, churning))

    def _leave(self, churning: _Churning) -> None:
        if churning.name in self._down_by:
            self._plan_leaving(churning)
            return
        self._stop(churning.number, churning.name, lose_disk=churning.fault.lose_disk)
        self._after(churning.rng.expovariate(1 / churning.fault.away_s), partial(self._return, churning))

    def _return(self, churning: _Churning) -> None:
        self._start(churning.number, churning.name)
        self._plan_leaving(churning)


def _is_cut(on: Sequence[_LinkFault], source: PeerId, target: PeerId) -> bool:
    return any(isinstance(link.fault, Partition) and link.strikes(source, target) for link in on)


def _trouble(on: Sequence[_LinkFault], source: PeerId, target: PeerId) -> Impairment:
    """What all faults of links together do to one direction."""
    struck = [link.fault for link in on if link.strikes(source, target)]
    if not struck:
        return SOUND
    return Impairment(
        cut=any(isinstance(fault, Partition) for fault in struck),
        held=any(isinstance(fault, Hold) for fault in struck),
        bytes_per_s=min((fault.bytes_per_s for fault in struck if isinstance(fault, Clog)), default=INFINITY),
    )
