"""Answering other nodes that catch up: bounded look-ups, nothing remembered about who asked."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from chain.codec import encode
from chain.ledgers.ordered.agreement import attest
from chain.ledgers.ordered.deliver import (
    Blocks,
    GetBlocks,
    GetHeaders,
    GetSnapshot,
    GetState,
    Headers,
    Request,
    Response,
    Snapshot,
    State,
    Status,
)
from chain.ledgers.ordered.endorse import Signer
from chain.ledgers.ordered.replica import Replica
from chain.snapshot import state_chunks
from chain.state import WorldState
from chain.sync import MAX_BLOCKS, MAX_HEADERS, MAX_RESPONSE_BYTES
from chain.values import Block, BlockId

SERVED = 2
"""States kept for those who are at it: the last one and the one before."""
_ROOM = MAX_RESPONSE_BYTES - 4_096


@dataclass(slots=True)
class _Kept:
    state: WorldState
    chunks: list[bytes] | None = None
    """Made when first asked for."""


class Server:
    """Serves a replica's blocks, headers, and the states after some of its blocks."""

    def __init__(self, replica: Replica, signer: Signer | None, believed: Callable[[], bool]) -> None:
        """`believed`: whether the replica's states may be told to others."""
        self._replica = replica
        self._signer = signer
        self._believed = believed
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def keep(self, height: int, state: WorldState) -> None:
        """Serve the state after a block from now on, and let the oldest one go."""
        self._kept[height] = _Kept(state)
        if len(self._kept) > SERVED:
            self._kept.popitem(last=False)

    def root_at(self, height: int) -> bytes | None:
        """Root of the state after one of the latest blocks, or of one whose state is served."""
        kept = self._kept.get(height)
        return kept.state.root if kept is not None else self._replica.root_at(height)

    def answer(self, request: Request, leader: bytes) -> Response:
        """`leader`: account of the orderer that leads, or empty."""
        match request:
            case GetBlocks(start):
                return self._blocks(start)
            case GetHeaders(start):
                headers = (self._replica.history.header(height) for height in range(start, start + MAX_HEADERS))
                return Headers(tuple(header for header in headers if header is not None))
            case GetState(height):
                return self._state_after(height)
            case GetSnapshot(height, chunk):
                return self._snapshot(height, chunk)
            case _:
                return self._status(leader)

    def _blocks(self, start: int) -> Blocks:
        blocks: list[Block] = []
        room = _ROOM
        for height in range(start, min(start + MAX_BLOCKS, self._replica.head.height + 1)):
            body = self._replica.history.body(height)
            room -= len(encode(body[0])) if body is not None else room + 1
            if body is None or room < 0:
                break
            blocks.append(body[0])
        return Blocks(tuple(blocks))

    def _status(self, leader: bytes) -> Status:
        replica, signer = self._replica, self._signer
        height, head, root = replica.head.height, replica.history.head_id, replica.state.root
        believed = self._believed()
        return Status(
            chain=replica.network.id,
            height=height,
            head=head,
            certificate=signer.certificate if signer is not None else None,
            state_root=root,
            attestation=attest(signer, height, head, root) if signer is not None and believed else None,
            leader=leader,
            orders=signer is not None and signer.certificate.account in replica.channel.orderers,
            oldest=replica.history.oldest(),
            snapshot=max(self._kept, default=0) if believed else 0,
        )

    def _state_after(self, height: int) -> State:
        found, root = self._replica.history.id_at(height), self.root_at(height)
        if found is None or root is None or self._signer is None or not self._believed():
            return State(height, BlockId(bytes(32)), bytes(32), None)
        return State(height, found, root, attest(self._signer, height, found, root))

    def _snapshot(self, height: int, chunk: int) -> Snapshot:
        kept = self._kept.get(height)
        if kept is None or not self._believed():
            return Snapshot(0, b"")
        if kept.chunks is None:
            kept.chunks = list(state_chunks(kept.state))
        return Snapshot(len(kept.chunks), kept.chunks[chunk] if chunk < len(kept.chunks) else b"")
