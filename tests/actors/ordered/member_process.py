"""One peer or orderer of a consortium as a process of its own, over TCP, with its stores in files; runs until killed.

Started with a folder, where `quorum.Consortium` was written down, and the member's name. Says on stdout, a line each and
at once, what it did; on stderr is what must not happen. Ends, too, when the other end of its stdin is closed.
"""

import os
import random
import sys
from pathlib import Path

import trio

from actors.node import FullNode
from actors.orderer import Orderer
from chain.ledgers.ordered.ledger import OrderedLedger
from chain.ledgers.ordered.orderer import Orderer as OrdererCore
from chain.sqlite_raft import SqliteRaftStore
from chain.sqlite_store import SqliteStore
from net.libp2p_host import Libp2pTransport
from tests.actors.ordered.quorum import MEMBERS, ORDERERS, Consortium, identity

BAD = (
    "error",
    "rejected",
    "penalised",
    "disagreed",
    "diverged",
    "equivocated",
    "unusable_entry",
    "endorsement_differs",
)
"""What honest members never have to say of each other."""
TOLD = ("final", "leader", "jumped", "votes_lost")


async def serve(folder: Path, name: str) -> None:
    consortium = Consortium.read(folder)
    world = consortium.world(name)

    def tell(_: int, actor: str, kind: str, fields: dict[str, object]) -> None:
        line = f"{world.clock.now_ms()} {kind} " + " ".join(str(value) for value in fields.values())
        if kind in BAD:
            print(line, file=sys.stderr, flush=True)
        elif kind in TOLD:
            print(line, flush=True)

    world.journal.listen(tell)
    me, chain = identity(name), world.network.id
    store = SqliteStore(folder / f"{name}.sqlite", chain)
    core = OrderedLedger(world.network, signer=consortium.signer(name), loaded=store.load(), archive=store)
    transport = Libp2pTransport(me.secret, listen=[consortium.address(name)])
    known = [identity(other).peer_id for other in MEMBERS if other != name]
    node = FullNode(world, name, me, transport, core, store, known)
    member: FullNode | Orderer = node
    if name in ORDERERS:
        votes = SqliteRaftStore(folder / f"{name}.raft.sqlite", chain, me.account, durability="kill")
        # Chance of its own in each life, as a process has that is given no seed.
        cutting = OrdererCore(core, rng=random.Random(), now_ms=world.clock.now_ms(), stored=votes.load())
        member = Orderer(node, cutting, votes)
    async with trio.open_nursery() as nursery:
        await nursery.start(member.run)
        print(f"{world.clock.now_ms()} up {core.head.height}", flush=True)
        # When whoever tests is killed, nobody is left behind.
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
            await stdin.receive_some()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(serve, Path(sys.argv[1]), sys.argv[2])
