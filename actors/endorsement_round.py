"""Whom to ask to endorse a proposal, and what to make of their answers: decisions of a gateway, without I/O.

Endorsers are asked until those who answer the same satisfy every policy that concerns what would be written, or nobody
is left who could help.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.errors import Refused
from chain.ledgers.ordered.access import policies_for
from chain.ledgers.ordered.assemble import Agreement, Difference, agree, check_endorsed, differences
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.policy import Policy, Principal
from chain.ledgers.ordered.values import Endorsed, Proposal, Response, response_digest
from chain.state import WorldState
from chain.values import Account

NameOf = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Endorser:
    """A member that can be asked."""

    account: Account
    principal: Principal


class EndorsementRound:
    """One proposal. `endorsers` are preferred in their order; `expected` is what it does as far as the asker knows."""

    def __init__(
        self,
        config: ChannelConfig,
        state: WorldState,
        proposal: Proposal,
        endorsers: Sequence[Endorser],
        expected: Response,
    ) -> None:
        self._config, self._state, self.proposal = config, state, proposal
        self._endorsers = {endorser.account: endorser for endorser in endorsers}
        self._expected = expected
        self._answers: dict[Account, Endorsed] = {}
        self._failures: dict[Account, str] = {}
        self._declined = False

    def take(self, account: Account, endorsed: Endorsed, now_ms: int) -> None:
        """An endorser's answer. Raises Refused, and does not count it: see `check_endorsed`; ``certificate_of_another``."""
        if endorsed.endorsement.certificate.account != account:
            raise Refused("certificate_of_another", "it answered with somebody else's endorsement")
        check_endorsed(self._config, self.proposal, endorsed, now_ms)
        self._answers[account] = endorsed

    def failed(self, account: Account, reason: str, *, declined: bool = False) -> None:
        """An endorser gave no endorsement; `declined`: it said why, and may think otherwise when it is level."""
        self._failures[account] = reason
        self._declined |= declined

    def agreement(self, now_ms: int) -> Agreement | None:
        """What enough of them agree on."""
        return agree(self._config, self._state, self.proposal, self._answers.values(), now_ms)

    def to_ask(self) -> Sequence[Account]:
        """Who, all saying the same as one group of those who answered, would suffice; none when nobody is left."""
        groups: dict[bytes, list[Account]] = {}
        for account, answer in self._answers.items():
            groups.setdefault(response_digest(answer.response), []).append(account)
        fresh = [a for a in self._endorsers if a not in self._answers and a not in self._failures]
        for group in (*sorted(groups.values(), key=len, reverse=True), []):
            response = self._answers[group[0]].response if group else self._expected
            plan = self._plan(response, [*group, *fresh])
            if plan is not None:
                return [account for account in plan if account not in self._answers]
        return []

    def _plan(self, response: Response, available: Sequence[Account]) -> Sequence[Account] | None:
        """Some of `available`, those that stand early first, who together satisfy all policies; None if they cannot."""
        chosen: list[Account] = []
        for policy in self._policies(response):
            if policy.satisfied([self._endorsers[account].principal for account in chosen]):
                continue
            order = [*chosen, *(account for account in available if account not in chosen)]
            places = next(policy.choices([self._endorsers[account].principal for account in order]), None)
            if places is None:
                return None
            chosen += [order[place] for place in places if order[place] not in chosen]
        return chosen

    def _policies(self, response: Response) -> Sequence[Policy]:
        keys = (write.key for write in response.writes)
        return policies_for(self._config, self._state, self.proposal.transaction.contract, keys)

    def may_level(self) -> bool:
        """Whether what they say may be the same a moment later: some lag behind, or are ahead."""
        return self._declined or any(each.what == "reads" for each in self._differences())

    def _differences(self) -> Sequence[Difference]:
        return differences(list(self._answers.values())) if self._answers else ()

    def height_of(self, account: Account) -> int:
        """After which block an endorser that answered simulated, as it says."""
        return self._answers[account].height

    def refusal(self, name_of: NameOf) -> Refused:
        """Why there is no agreement, naming who differs in what, or who is missing."""
        apart = self._differences()
        if apart:
            first = next(iter(self._answers.values()))
            said = "; ".join(
                f"{', '.join(name_of(account) for account in each.accounts)} in {each.what} at height {each.height}"
                for each in apart
            )
            whom = f"{name_of(first.endorsement.certificate.account)} at height {first.height}"
            return Refused("endorsements_differ", f"from {whom} differ: {said}")
        policies = " and ".join(str(policy) for policy in self._policies(self._expected))
        linked = ", ".join(self._describe(endorser, name_of) for endorser in self._endorsers.values())
        return Refused("not_enough_endorsers", f"{policies} is asked for; linked: {linked or 'none'}")

    def _describe(self, endorser: Endorser, name_of: NameOf) -> str:
        principal = endorser.principal
        failure = self._failures.get(endorser.account)
        said = f": {failure}" if failure else ""
        return f"{name_of(endorser.account)} ({principal.organisation}.{principal.role}){said}"
