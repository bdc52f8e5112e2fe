"""The fixed population on an ordered ledger: two orderers, of whom one leads, and two endorsers."""

from collections.abc import Sequence
from dataclasses import replace

from actors.control import (
    ActorSnapshot,
    ActorSummary,
    BlockSummary,
    BlockView,
    CertificateView,
    ChannelView,
    MemberView,
    RunSnapshot,
    TransactionView,
)
from tests.web.population import START_MS, FixedPopulation, ident

CODES = ("VALID", "MVCC_READ_CONFLICT", "ENDORSEMENT_POLICY_FAILURE")


class OrderedPopulation(FixedPopulation):
    """What `FixedPopulation` is on proof of work."""

    OPERATORS = (("orderer", 2), ("endorser", 2))

    def member(self, name: str, organisation: str = "org1") -> MemberView:
        role = {"orderer": "orderer", "endorser": "peer"}[name.partition("-")[0]]
        return MemberView(organisation, role, self.by_name(name))

    def make_block(self, height: int) -> BlockSummary:
        orderer = self.by_name(f"orderer-{height % 2 + 1:02d}")
        return BlockSummary(
            id=ident(f"block {height}"),
            height=height,
            time_ms=START_MS + height * 1000,
            producer=orderer,
            transactions=height % 4,
            bytes=400 + height,
            difficulty=1,
            final=True,
        )

    def run(self) -> RunSnapshot:
        height = len(self.chain) - 1
        return replace(super().run(), ledger="ordered", finality_depth=0, final_height=height, block_interval_ms=1_000)

    def channel(self) -> ChannelView:
        return ChannelView(
            sequence=3,
            consensus="raft",
            organisations=[("org1", ident("root 1")), ("org2", ident("root 2"))],
            revoked=[("org2", 9)],
            policies=[("endorsement", "AND('org1.peer', 'org2.peer')"), ("writers", "anyone")],
            orderers=[self.by_name("orderer-01"), self.by_name("orderer-02")],
            leader=self.by_name("orderer-02"),
            batch=[("transactions", 500), ("longest wait in ms", 250)],
            codes=[("MVCC_READ_CONFLICT", 2), ("VALID", 1_041)],
        )

    def _summary(self, actor: str) -> ActorSummary:
        found = super()._summary(actor)
        return replace(found, ledger_node=found.role in {"orderer", "endorser"})

    def actor(self, actor: str) -> ActorSnapshot:
        found = super().actor(actor)
        if found.summary.name not in {"orderer-01", "orderer-02", "endorser-01"}:
            return found
        held = CertificateView(self.member(found.summary.name), 17, START_MS, START_MS + 86_400_000, revoked=False)
        return replace(found, certificate=held)

    async def block(self, actor: str, ref: str) -> BlockView:
        found = await super().block(actor, ref)
        return replace(found, rewards=(), nonce=57, state_root="0" * 64, seals=[self.member("orderer-01")])

    def transaction(self, number: int, *, ok: bool | None) -> TransactionView:
        found = super().transaction(number, ok=ok)
        if ok is None:
            return replace(found, made_ms=START_MS)
        endorsers: Sequence[MemberView] = [self.member("endorser-01"), self.member("endorser-02", "org2")]
        code = CODES[number % len(CODES)]
        return replace(found, ok=code == "VALID", code=code, endorsers=endorsers, made_ms=START_MS)
