"""Organisations of a test channel, their keys, and certificates of their members."""

from typing import Any

from nacl.signing import SigningKey

from chain.ledgers.ordered.channel import BatchLimits, ChannelConfig, found_channel
from chain.ledgers.ordered.msp import Certificate, issue
from chain.values import Account
from tests.strategies import EPOCH_MS, account, key

ROOTS = {"Oak": 701, "Elm": 702, "Ash": 703}
ADMINS = {"Oak": 711, "Elm": 712, "Ash": 713}
ORDERERS = (721, 722, 723)
NOT_BEFORE_MS = EPOCH_MS
NOT_AFTER_MS = EPOCH_MS + 1_000_000
NOW_MS = EPOCH_MS + 500
BATCH = BatchLimits(10, 65_536, 131_072, 20, 0)


def root_key(organisation: str) -> SigningKey:
    return key(ROOTS[organisation])


def certificate(organisation: str, role: str, number: int, **changes: Any) -> Certificate:
    """Of account(number); its serial is `number` too."""
    fields = {"serial": number, "not_before_ms": NOT_BEFORE_MS, "not_after_ms": NOT_AFTER_MS} | changes
    return issue(root_key(organisation), organisation, role, account(number), **fields)


def admin(organisation: str) -> tuple[SigningKey, Certificate]:
    number = ADMINS[organisation]
    return key(number), certificate(organisation, "admin", number)


def roots(*names: str) -> dict[str, Account]:
    return {name: account(ROOTS[name]) for name in names or ROOTS}


def channel(*names: str, **changes: Any) -> ChannelConfig:
    """Of all three organisations unless `names` says which, three orderers, default policies."""
    given = {"orderers": [account(number) for number in ORDERERS], "batch": BATCH} | changes
    return found_channel(roots(*names), **given)
