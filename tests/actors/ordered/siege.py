"""A consortium of processes under load, whose members are killed at random; what was told to clients is held against it.

The processes are of `member_process`; the test's own process has the clients, phones that use whichever peer lives as
their gateway, and kills. What is called acknowledged is what a phone was told to be final.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random

import trio

from actors.identity import Identity
from actors.ledger import GatewayError, OutcomeUnknownError
from actors.light_node import LightNode
from actors.links import open_overlay
from actors.remote_ledger import RemoteLedger
from chain.codec import block_id
from chain.contracts.accounts import balance_of, supply
from chain.errors import Refused
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.sqlite_store import SqliteStore
from chain.values import Account, BlockId
from net.libp2p_host import Libp2pTransport
from net.transport import NotConnectedError
from tests.actors.ordered.quorum import CREDITS, MEMBERS, ORDERERS, PAYERS, PEERS, Consortium, identity
from tests.actors.processes import ROOT

UP_S = 60.0
LEVEL_S = 60.0
PATIENCE_S = 90.0
LIMIT_S = 230.0


@dataclass
class Call:
    """One transfer to a receiver of its own."""

    payer: str
    to: Account
    amount: int
    began_s: float
    ended_s: float = 0.0
    outcome: str = ""
    """``final``; ``unknown``; or why nothing came of it."""


@dataclass
class Kill:
    name: str
    at_s: float
    height: int
    """Of the highest final block that it had told of."""


class MemberProcess:
    """A member, of which one process at a time runs; each life has files of its own for what it says."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.lives = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        self.lives += 1
        with self._said("out").open("wb") as out, self._said("err").open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.actors.ordered.member_process", str(self.folder), self.name],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

    def _said(self, what: str) -> Path:
        return self.folder / f"{self.name}-{self.lives}.{what}"

    def lines(self, kind: str) -> list[list[str]]:
        """What this life said of a kind, without its last line when that is cut short."""
        complete = self._said("out").read_text().split("\n")[:-1]
        return [words for line in complete if (words := line.split())[1] == kind]

    @property
    def is_up(self) -> bool:
        return self.running and bool(self.lines("up"))

    def check(self) -> None:
        """That it is still there, and has nothing to complain of."""
        said = self._said("err").read_text()
        assert not said, f"{self.name} in life {self.lives}: {said[-3000:]}"
        if self._process is not None:
            assert self._process.poll() is None, f"{self.name} ended by itself"

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None and self._process.stdin is not None
        self._process.kill()
        self._process.stdin.close()
        assert self._process.wait() == -signal.SIGKILL
        self._process = None

    def lose(self, *, chain: bool) -> None:
        """Its votes and log are gone, and the `chain` with them if the whole disk is."""
        lost = list(self.folder.glob(f"{self.name}.raft.sqlite*"))
        lost += self.folder.glob(f"{self.name}.sqlite*") if chain else ()
        assert lost
        for path in lost:
            path.unlink()

    def left(self, folder: Path) -> Path:
        """A copy of its chain's files as the kill left them: to open the store itself would tidy it up."""
        folder.mkdir()
        for path in self.folder.glob(f"{self.name}.sqlite*"):
            shutil.copyfile(path, folder / path.name)
        return folder / f"{self.name}.sqlite"


@dataclass
class Siege:
    """`kills` at random under load, then peace; `run` raises AssertionError when something is not as it must be."""

    folder: Path
    kills: int
    seed: int
    pause_s: tuple[float, float] = (0.5, 2.5)
    """Between two kills."""
    away_s: float = 2.0
    """From a kill to the restart at most; a quarter comes back at once."""
    calls: list[Call] = field(default_factory=list)
    killed: list[Kill] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.consortium = Consortium.found(self.folder)
        self.network = self.consortium.network
        self.members = {name: MemberProcess(self.folder, name) for name in MEMBERS}

    def run(self) -> None:
        try:
            trio.run(self._run)
        finally:
            for member in self.members.values():
                if member.running:
                    member.kill()
        self._check()

    async def _run(self) -> None:
        with trio.fail_after(LIMIT_S):
            for member in self.members.values():
                member.start()
            await self._until_up()
            async with trio.open_nursery() as nursery:
                phones = [await self._phone(nursery, payer, number) for number, payer in enumerate(PAYERS)]
                self._peace = trio.Event()
                async with trio.open_nursery() as load:
                    for phone in phones:
                        load.start_soon(self._pay, phone)
                    await self.until_acknowledged()
                    await self.attack(load)
                    await self._until_up()
                    await self.until_acknowledged()
                    self._peace.set()
                await self._until_level(nursery)
                nursery.cancel_scope.cancel()

    # --- load -------------------------------------------------------------------------------------------------

    async def _phone(self, nursery: trio.Nursery, payer: str, number: int) -> LightNode:
        """Each begins with another peer, and falls back on the others."""
        peers = [identity(name).peer_id for name in PEERS]
        turn = number % len(peers)
        me = identity(payer)
        world = self.consortium.world(payer)
        transport = Libp2pTransport(me.secret, listen=[])
        phone = LightNode(world, payer, me, transport, spares=[*peers[turn:], *peers[:turn]])
        await nursery.start(phone.run)
        return phone

    async def _pay(self, phone: LightNode) -> None:
        """One transfer after the other, each of another amount to another receiver."""
        while not self._peace.is_set():
            number = len(self.calls) + 1
            to = Account(sha256(f"receiver {number}".encode()).digest())
            call = Call(phone.name, to, number, trio.current_time())
            self.calls.append(call)
            try:
                await phone.ledger.call("accounts", "transfer", to, number, patience_s=PATIENCE_S)
                call.outcome = "final"
            except OutcomeUnknownError as error:
                call.outcome = f"unknown: {error}"
            except (Refused, GatewayError) as error:
                call.outcome = f"refused: {error}"
                await trio.sleep(0.1)
            call.ended_s = trio.current_time()

    # --- kills ------------------------------------------------------------------------------------------------

    async def attack(self, nursery: trio.Nursery) -> None:
        """What happens under load."""
        for _ in range(self.kills):
            await trio.sleep(self.rng.uniform(*self.pause_s))
            await self._kill_somebody(nursery)

    async def _kill_somebody(self, nursery: trio.Nursery) -> None:
        """As soon as service can go on without."""
        while not (victims := [name for name, member in self.members.items() if member.is_up and self._spare(name)]):
            await self._pause()
        victim = self.members[self.rng.choice(victims)]
        self.kill(victim)
        nursery.start_soon(self._restart, victim, max(0.0, self.rng.uniform(-self.away_s / 3, self.away_s)))

    def kill(self, victim: MemberProcess) -> None:
        """Kill it and note what it left."""
        victim.check()
        victim.kill()
        told = [int(words[2]) for words in victim.lines("final")]
        self.killed.append(Kill(victim.name, trio.current_time(), max(told, default=0)))
        victim.left(self.folder / f"kill-{len(self.killed)}")

    def _spare(self, name: str) -> bool:
        """Whether the others who are up can serve: most of the orderers, and peers of most organisations."""
        up = [other for other, member in self.members.items() if member.is_up and other != name]
        organisations = {PEERS[other] for other in up if other in PEERS}
        return sum(other in ORDERERS for other in up) >= 2 and len(organisations) >= 2

    async def _restart(self, member: MemberProcess, after_s: float) -> None:
        await trio.sleep(after_s)
        member.start()

    # --- waiting ----------------------------------------------------------------------------------------------

    async def _pause(self) -> None:
        await trio.sleep(0.05)
        for member in self.members.values():
            member.check()

    async def _until_up(self) -> None:
        with trio.fail_after(UP_S):
            while not all(member.is_up for member in self.members.values()):
                await self._pause()

    async def until_told(self, member: MemberProcess, kind: str) -> None:
        """Until its present life has said something of that kind."""
        with trio.fail_after(UP_S):
            while not member.lines(kind):
                await self._pause()

    async def until_acknowledged(self) -> None:
        """Until a call that begins from now on is."""
        since_s = trio.current_time()
        with trio.fail_after(UP_S):
            while not any(call.outcome == "final" and call.began_s >= since_s for call in self.calls):
                await self._pause()

    async def _until_level(self, nursery: trio.Nursery) -> None:
        """Ask each member where it is, until all say the same."""
        world = self.consortium.world("observer")
        me = Identity.derive(0, "observer")
        overlay = open_overlay(world, "observer", me, Libp2pTransport(me.secret, listen=[]))
        await nursery.start(overlay.run)
        with trio.fail_after(LEVEL_S):
            while True:
                heads = set()
                for name in MEMBERS:
                    peer = identity(name).peer_id
                    try:
                        await overlay.connect(peer, [self.consortium.address(name)])
                        heads.add((await RemoteLedger(me, overlay, lambda: [peer], world).heads()).final)  # noqa: B023
                    except (NotConnectedError, GatewayError):
                        heads.add(name)
                if len(heads) == 1:
                    return
                await self._pause()

    # --- the end ----------------------------------------------------------------------------------------------

    def _open(self, path: Path) -> OrderedLedger:
        store = SqliteStore(path, self.network.id)
        try:
            return OrderedLedger(self.network, loaded=store.load(), archive=store)
        finally:
            store.close()

    def _check(self) -> None:
        for member in self.members.values():
            member.check()
        chain, roots = self._replay()
        for name in MEMBERS:
            core = self._open(self.folder / f"{name}.sqlite")
            assert core.head.height == len(chain) - 1, f"{name} is at {core.head.height} of {len(chain) - 1}"
            self._check_chain(core, chain, roots, name)
        for number, kill in enumerate(self.killed, 1):
            left = self.folder / f"kill-{number}"
            core = self._open(left / f"{kill.name}.sqlite")
            # What it told the world before it died is in its store.
            assert core.head.height >= kill.height, f"kill {number}: {kill} is at {core.head.height}"
            self._check_chain(core, chain, roots, f"kill {number}, {kill.name}")
            shutil.rmtree(left)
        self._check_calls()

    def _replay(self) -> tuple[list[BlockId], list[bytes]]:
        """Ids of blocks and roots of states by height, worked out anew from one member's blocks."""
        store = SqliteStore(self.folder / "peer-1.sqlite", self.network.id)
        try:
            kept = OrderedLedger(self.network, loaded=store.load(), archive=store)
            anew = OrderedLedger(self.network)
            ids, roots = [anew.head_id], [anew.state.root]
            for height in range(1, kept.head.height + 1):
                block = kept.block(height)
                assert block is not None, f"peer-1 lacks block {height}"
                anew.receive_block(b"", block, block.header.time_ms)
                ids.append(anew.head_id)
                roots.append(anew.state.root)
        finally:
            store.close()
        assert len(ids) == kept.head.height + 1 and anew.head.height == kept.head.height
        self.state = anew.state
        self.statistics = anew.statistics()
        return ids, roots

    def _check_chain(self, core: OrderedLedger, chain: list[BlockId], roots: list[bytes], who: str) -> None:
        height = core.head.height
        for each in range(1, height + 1):
            header = core.header(each)
            assert header is not None and block_id(header) == chain[each], f"{who} has another block {each}"
        assert core.state.root == roots[height], f"{who} has another state after block {height}"

    def _check_calls(self) -> None:
        assert not [call for call in self.calls if not call.outcome or call.outcome.startswith("unknown")]
        paid = Counter[str]()
        for call in self.calls:
            got = balance_of(self.state, call.to)
            assert got == (call.amount if call.outcome == "final" else 0), f"{call} and its receiver has {got}"
            paid[call.payer] += got
        for payer in PAYERS:
            assert balance_of(self.state, identity(payer).account) == CREDITS - paid[payer], payer
        assert supply(self.state) == supply(self.network.state)

    # --- figures ----------------------------------------------------------------------------------------------

    def figures(self) -> list[str]:
        """What it came to."""
        final = [call for call in self.calls if call.outcome == "final"]
        again = [min(call.ended_s for call in final if call.began_s >= kill.at_s) - kill.at_s for kill in self.killed]
        ends = sorted(call.ended_s for call in final)
        silence = max(later - earlier for earlier, later in pairwise(ends))
        took = sorted(call.ended_s - call.began_s for call in final)
        roles = Counter(kill.name.partition("-")[0] for kill in self.killed)
        during_s = self.killed[-1].at_s - self.killed[0].at_s
        others = Counter(call.outcome[:100] for call in self.calls if call.outcome != "final")
        codes = self.statistics
        return [
            f"{len(self.killed)} kills ({roles['peer']} of peers, {roles['orderer']} of orderers) in {during_s:.0f} s",
            f"{len(self.calls)} calls, {len(final)} acknowledged; definitely not carried out: {dict(others)}",
            f"serves again after a kill: p50 {statistics.median(again):.2f} s, max {max(again):.2f} s",
            f"longest time without an acknowledgement: {silence:.2f} s",
            f"a call: p50 {took[len(took) // 2]:.2f} s, p99 {took[int(0.99 * len(took))]:.2f} s, max {took[-1]:.2f} s",
            f"{codes.height} blocks; transactions by code: {dict(codes.codes)}",
        ]
