"""Quota evasion: a miner with much hash power takes more of the blocks than the quota allows, under several keys.

Attacked: the miner quota, which is to keep any one miner below 3 of 10 blocks.
Budget: 45 % of the hash power, spread over four keys; or under one key, which is the case that the quota is for.
Success: its keys have more than a third of the final blocks together.
Defence: the quota. It stops the single key. It does not stop four of them: an identity is a key and costs nothing, so
what limits a miner that splits itself up is its hash power alone. The price of the quota is paid by the honest: what
the single key may not mine is not mined, until difficulty has followed.
Source: spec, "Proof of work" and "quota evasion by sybils"; Douceur (2002).
"""

from functools import partial

from actors.attacks.case import Case, Measured, Size
from actors.attacks.chain.selfish import shares
from actors.chain_trial import HASHES_PER_STEP, Field, Peer, found

ALPHA = 0.45
LIMIT = 1 / 3
QUOTA = 3
HONEST = 5
DEPTH = 6


def _evade(keys: int, defended: bool, seed: int, size: Size) -> Measured:
    field = Field(found(seed, finality_depth=DEPTH, quota=QUOTA if defended else 0), seed)
    hashes = round(ALPHA * HASHES_PER_STEP)
    honest = field.add_honest(HASHES_PER_STEP - hashes, count=HONEST)
    rates = [hashes // keys + (place < hashes % keys) for place in range(keys)]
    sybils = {field.add(Peer(field, f"sybil-{place}", rate)).account for place, rate in enumerate(rates)}
    share = shares(field, honest[0], sybils, size.blocks // 2)
    return Measured(int(share > LIMIT), 1, {"share of blocks": share, "share of hashes": ALPHA})


def _case(keys: int, stands: str = "") -> Case:
    return Case(
        name="quota-sybils" if keys > 1 else "quota-one-key",
        family="chain",
        goal="more than a third of the final blocks",
        budget=f"{ALPHA:.0%} of the hash power, {keys} key{'s' if keys > 1 else ''}",
        defence=f"quota of {QUOTA} of 10 blocks per key; off: no quota",
        source="malicious miner: quota evasion by sybils",
        run=partial(_evade, keys),
        stands=stands,
    )


QUOTA_EVASION = (_case(1), _case(4, stands="keys are free: only hash power limits who has several"))
