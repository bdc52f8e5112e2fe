"""The configuration of an ordered network's channel, and its changes. Only ordered networks have this contract."""

from typing import Annotated

import msgspec

from chain.contract import Context, call, query
from chain.ledgers.ordered.channel import MAX_UPDATE_SIGNATURES, ChannelConfig
from chain.ledgers.ordered.msp import Signed
from chain.ledgers.ordered.update import check_update

CONFIG_KEY = b"config"
"""`chain.ledgers.ordered.channel.CHANNEL_KEY` without the contract's name."""

Signatures = Annotated[tuple[Signed, ...], msgspec.Meta(max_length=MAX_UPDATE_SIGNATURES)]


@call
def update(ctx: Context, config: ChannelConfig, signatures: Signatures) -> None:
    """Make `config` the configuration, from the next block on. By anybody who has the admins' signatures.

    Refused: ``no_channel``; what `check_update` says.
    """
    current = ctx.get(CONFIG_KEY, ChannelConfig)
    if current is None:
        ctx.refuse("no_channel")
    # The first block's id is the network's: what was signed for another is void here.
    check_update(current, config, signatures, ctx.block_id(0), ctx.time_ms)
    ctx.put(CONFIG_KEY, config)
    ctx.emit("updated", sequence=config.sequence)


@query
def config(ctx: Context) -> ChannelConfig:
    """The configuration in force. Refused: ``no_channel``."""
    current = ctx.get(CONFIG_KEY, ChannelConfig)
    if current is None:
        ctx.refuse("no_channel")
    return current
