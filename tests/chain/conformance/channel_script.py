"""What is told to ordered ledgers alone: changes of their channel."""

from functools import partial

from msgspec.structs import replace

from actors.chain_trial import key_of
from chain.keys import account_of
from chain.ledgers.ordered.channel import ChannelConfig
from chain.ledgers.ordered.msp import Signed, issue
from chain.ledgers.ordered.update import sign_update, with_batch
from chain.values import BlockId
from tests.chain.conformance.founding import FOUNDED_MS, Founding
from tests.chain.conformance.scripts import Script
from tests.chain.conformance.story import Story

NEVER_MS = FOUNDED_MS + 10**12
SEED = 1


def consent(story: Story, config: ChannelConfig, organisation: str, role: str = "admin") -> Signed:
    """Of a member with that role, to that configuration."""
    key = key_of(SEED, f"{role}/{organisation}")
    root = key_of(SEED, f"root/{organisation}")
    certificate = issue(root, organisation, role, account_of(key), 1_000, 0, NEVER_MS)
    return sign_update(key, certificate, story.ledger.network.id, config)


def channel(story: Story) -> None:
    """A configuration that too few, the wrong, and then the right admins want."""
    founded = story.query("config", contract="channel")
    assert isinstance(founded, ChannelConfig)
    wanted = with_batch(founded, replace(founded.batch, max_count=3))
    refused = partial(story.refused, contract="channel")
    first, second = consent(story, wanted, "org1"), consent(story, wanted, "org2")
    refused("bad_sequence", 1, "update", founded, (first, second))
    refused("signed_twice", 1, "update", wanted, (first, first))
    refused("admins_policy", 1, "update", wanted, (first,))
    refused("admins_policy", 1, "update", wanted, (first, consent(story, wanted, "org2", "peer")))
    refused("admins_policy", 1, "update", wanted, ())
    refused("bad_signature", 1, "update", wanted, (first, consent(story, founded, "org2")))
    elsewhere = sign_update(key_of(SEED, "admin/org2"), second.certificate, BlockId(bytes(32)), wanted)
    refused("bad_signature", 1, "update", wanted, (first, elsewhere))
    unheard = replace(second.certificate, organisation="org9")
    refused("unknown_organisation", 1, "update", wanted, (first, replace(second, certificate=unheard)))
    self_made = replace(second.certificate, role="admin", serial=7)
    refused("bad_certificate", 1, "update", wanted, (first, replace(second, certificate=self_made)))
    refused("malformed_arguments", 1, "update", wanted, (first,) * 40)
    impossible = replace(wanted, batch=replace(wanted.batch, max_count=0))
    consents = tuple(consent(story, impossible, name) for name in ("org1", "org2"))
    refused("invalid_channel", 1, "update", impossible, consents)
    story.call(1, "update", wanted, (first, second), contract="channel")
    refused("bad_sequence", 1, "update", wanted, (first, second))
    now = story.query("config", contract="channel")
    assert (now.sequence, now.batch.max_count) == (1, 3)


ORDERED_SCRIPTS: dict[str, tuple[Script, Founding]] = {"channel": (channel, Founding())}
