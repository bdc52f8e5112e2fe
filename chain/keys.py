"""Signing transactions and checking signatures: Ed25519 by libsodium, over a domain-separated transaction id."""

from functools import lru_cache

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from chain.codec import transaction_id
from chain.errors import Refused
from chain.values import SIGNATURE_BYTES, Account, BlockId, Transaction

DOMAIN = b"crowdmesh:tx:1:"
"""Stands before the id under a signature, so that it can never be taken for a signature of something else."""

_remembering = True


def account_of(key: SigningKey) -> Account:
    """The account that `key` signs for: its public key."""
    return Account(bytes(key.verify_key))


def sign_transaction(
    key: SigningKey, chain: BlockId, nonce: int, contract: str, method: str, args: bytes
) -> Transaction:
    """A signed call of `contract`.`method`; `args` comes from `chain.contract.encode_args`."""
    unsigned = Transaction(chain, account_of(key), nonce, contract, method, args, b"")
    signature = key.sign(DOMAIN + transaction_id(unsigned)).signature
    return msgspec.structs.replace(unsigned, signature=signature)


def remember_signatures(on: bool) -> None:
    """Whether this process remembers the signatures that it found good (the default): replicas of one process then
    verify each once. Off, every check is made anew, with the same results.
    """
    global _remembering  # noqa: PLW0603 - one switch per process, as the memory is
    _remembering = on
    _verified.cache_clear()


def remembers_signatures() -> bool:
    """Whether `remember_signatures` is on, for whoever remembers what follows from one."""
    return _remembering


def _verify(account: Account, message: bytes, signature: bytes) -> bool:
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        VerifyKey(account).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


_verified = lru_cache(maxsize=65_536)(_verify)


def is_signature(account: Account, message: bytes, signature: bytes) -> bool:
    """Whether `account` signed `message`, which begins with a domain of its own and is short, for it is remembered."""
    check = _verified if _remembering else _verify
    return check(account, message, signature)


def has_valid_signature(transaction: Transaction) -> bool:
    """Whether its sender signed it."""
    return is_signature(transaction.sender, DOMAIN + transaction_id(transaction), transaction.signature)


def check_transaction(transaction: Transaction, chain: BlockId) -> None:
    """Raises Refused (``wrong_chain``, ``bad_signature``) unless it was signed by its sender for `chain`."""
    if transaction.chain != chain:
        raise Refused("wrong_chain", f"signed for {transaction.chain.hex()[:16]}, this is {chain.hex()[:16]}")
    if not has_valid_signature(transaction):
        raise Refused("bad_signature", f"not signed by {transaction.sender.hex()[:16]}")
