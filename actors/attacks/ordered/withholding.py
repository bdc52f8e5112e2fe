"""An orderer that withholds: blocks from some peers, or a client's transactions from blocks.

`withheld-blocks`. Attacked: a peer, which is to know nothing of the latest blocks. The leader publishes to all but it.
Success: at the end of a second's load, and two more, it lacks a block.
Defence: it asks others how far they are, and pulls what it lacks from any of them: seals tell who made a block, so it
matters not from whom it comes. Off: it waits for blocks to be published, and asks nobody.

`censored-client`. Attacked: a client. The leader takes no envelope of it.
Success: a call of it is not committed before its proposal expires (6 s).
Defence: its calls are known to all orderers and stay in their pools; once people notice (here after 2 s), admins of a
majority of organisations take the orderer out of the channel's configuration, and the next leader orders what waits. Off:
nobody does anything, as nothing in Raft does.
Budget: one of three orderers, the leader.
"""

from actors.attacks.case import Case, Measured, Size
from actors.attacks.ordered.stage import ACCOMPLICE, ATTACKER, VICTIM, leader_of, pay, stage
from actors.consortium_trial import Member, Trial
from chain.keys import account_of
from chain.ledger import Ask
from chain.ledgers.ordered.orderer import OrderingEffect
from chain.ledgers.ordered.update import with_orderers
from chain.ledgers.ordered.values import decode_envelope

TTL_MS = 6_000
NOTICED_MS = 2_000
KEPT_FROM = "peer3"


class Withholder(Member):
    """Publishes no blocks to one peer once it `withholds`."""

    withholds = False

    def publish(self, topic: str, data: bytes) -> None:
        for other in self.trial.others(self):
            if not (self.withholds and topic == "blocks" and other.name == KEPT_FROM):
                self.trial.deliver(self, other.account, lambda to: to.hear(self, topic, data))


class WithholderAndTrusting(Withholder):
    """The peer in question asks nobody."""

    def carry_one(self, effect: OrderingEffect) -> bool:
        return False if isinstance(effect, Ask) and self.name == KEPT_FROM else super().carry_one(effect)


def _withhold(defended: bool, seed: int, size: Size) -> Measured:
    trial, clients = stage(seed, Withholder if defended else WithholderAndTrusting)
    for member in trial.orderers:
        if isinstance(member, Withholder):
            member.withholds = True
    for number in range(size.payments):
        trial.at(trial.now_ms + number * 1_000 // size.payments, pay, clients, VICTIM, ACCOMPLICE, 1, trial)
    trial.run_for(3_000)
    victim = next(peer for peer in trial.peers if peer.name == KEPT_FROM)
    lacks = trial.peers[0].ledger.head.height - victim.ledger.head.height
    return Measured(int(lacks > 0), 1, {"blocks that it lacks": lacks})


class Censor(Member):
    """Once it `censors`, hears nothing of one client."""

    censors = False

    def hear(self, sender: Member, topic: str, data: bytes) -> None:
        if self.censors and topic == "tx":
            victim = account_of(self.trial.keys[VICTIM])
            if decode_envelope(data).transaction.sender == victim:
                return
        super().hear(sender, topic, data)


def run_censor(seed: int, calls: int, *, removed: bool) -> tuple[Trial, Member, list[str]]:
    """Returns the trial, the censor, and what became of the victim's calls."""
    trial, clients = stage(seed, Censor, proposal_ttl_ms=TTL_MS)
    censor = leader_of(trial)
    if isinstance(censor, Censor):
        censor.censors = True
    made = [pay(clients, VICTIM, ACCOMPLICE, 1 + number, trial) for number in range(calls)]
    other = pay(clients, ATTACKER, ACCOMPLICE, 1, trial)
    trial.run_for(NOTICED_MS)
    if any(call.outcome == "valid" for call in made) or other.outcome != "valid":
        raise RuntimeError("the leader does not censor")
    if removed:
        config = trial.peers[0].ledger.channel
        config = with_orderers(config, [one for one in config.orderers if one != censor.account])
        clients.call(ATTACKER, "channel", "update", config, trial.consent(config))
    # Others go on, for blocks tell the time by which proposals expire.
    for number in range(2 * TTL_MS // 500):
        trial.at(trial.now_ms + 500 * number, pay, clients, ATTACKER, ACCOMPLICE, 1, trial)
    trial.run_for(2 * TTL_MS)
    return trial, censor, [call.outcome for call in made]


def _censor(defended: bool, seed: int, size: Size) -> Measured:
    _, _, outcomes = run_censor(seed, size.payments, removed=defended)
    return Measured(sum(outcome != "valid" for outcome in outcomes), len(outcomes))


WITHHOLDING = (
    Case(
        name="withheld-blocks",
        family="ordered",
        goal="a peer lacks a block two seconds after the last one",
        budget="all orderers that may lead",
        defence="peers ask each other, and pull what they lack; off: they wait",
        source="malicious orderer: withholding",
        run=_withhold,
    ),
    Case(
        name="censored-client",
        family="ordered",
        goal=f"a call is not committed within {TTL_MS // 1000} s",
        budget="the leader of three orderers",
        defence="admins remove the orderer after 2 s; off: nobody does",
        source="malicious orderer: censoring",
        run=_censor,
    ),
)
