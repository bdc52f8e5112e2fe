"""Explicit peering agreements (GossipSub v1.1): ledger nodes that stay linked and pass everything on to each other.

An operator lists its nodes, the same list for each of them: by name those of this population, by address those of other
processes. Each peers with all others of the list.
"""

from collections.abc import Mapping

from actors.population import LEDGER_ROLES
from actors.scenario import ABSENT, ScenarioError
from actors.world import World
from net.peer import Address, PeerId, split_address


def direct_peers(world: World, name: str, own: PeerId) -> Mapping[PeerId, Address | None]:
    """With whom the ledger node `name` peers, and where to dial those of other processes.

    Those listed by address are peers of all ledger nodes here; those listed by name are peers of each other. Raises
    ScenarioError for a name that no ledger node has.
    """
    entries = world.scenario.network.direct
    absent = ABSENT[world.scenario.ledger.kind]  # a scenario that lists miners runs on another ledger as well
    names = [entry for entry in entries if not entry.startswith("/") and entry.partition("-")[0] not in absent]
    found: dict[PeerId, Address | None] = {}
    accounts = {who: account for account, who in world.names.items()}
    for one in names:
        if one not in accounts or one.partition("-")[0] not in LEDGER_ROLES:
            raise ScenarioError(f"network.direct: no ledger node is called {one}")
        if name in names:
            found[PeerId.from_public_key(accounts[one])] = None
    found |= dict(split_address(entry) for entry in entries if entry.startswith("/"))
    found.pop(own, None)
    return found
