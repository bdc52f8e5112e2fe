"""A campaign in blocks of its own, for those who read blocks as they become final."""

from actors.campaign_book import CampaignBook
from actors.ledger import FoundBlock
from actors.views import actor_id
from tests.chain.campaign_town import PEOPLE, Fair
from tests.strategies import account

NAMES = {actor_id(account(who)): who for who in PEOPLE}
"""Of actors, by their ids."""


class ToldFair(Fair):
    """Remembers its blocks with their receipts."""

    def __init__(self, **terms):
        self.found: list[FoundBlock] = []
        super().__init__(**terms)

    def block(self, *transactions, after_ms=1_000):
        receipts = super().block(*transactions, after_ms=after_ms)
        self.found.append(FoundBlock(self.blocks[-1], receipts, final=True))
        return receipts

    def book(self, since: int = 0) -> CampaignBook:
        """A book of all blocks, or of those from some place on."""
        made = CampaignBook(self.network.registry)
        made.jumped(since)
        for found in self.found:
            for _ in range(2):  # another replica says so again
                made.finalised(found)
        return made

    def told(self, since: int = 0) -> list[tuple[str, str, int | None, int | None, int | None, int]]:
        """Flows in order, as (purse, kind, task, from, to, micro-credits)."""
        flows = list(reversed(self.book().flows(self.campaign)))[since:]
        return [
            (f.purse, f.kind, f.task, NAMES.get(f.source or ""), NAMES.get(f.target or ""), f.amount) for f in flows
        ]
