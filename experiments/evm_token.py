"""A payment in the EVM that does what `accounts.transfer` does, and what eth-tester with py-evm makes of many of them.

eth-tester is what a Python user would prototype a contract on. By itself it mines a block for each transaction; without
that, it executes each twice and takes one a sender. So it is timed both as it comes, and through its backend alone, in
blocks of five; more are slower, for each transaction costs what its block holds already. They are signed beforehand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import process_time
from typing import Any

HOW_TO_INSTALL = (
    "python3 -m venv .venv-bench && .venv-bench/bin/python -m pip install --no-deps --require-hashes -r "
    "requirements-bench.lock && .venv-bench/bin/python launch.py bench pow"
)
_PER_BLOCK = 5
_GAS = 120_000
_GAS_TO_CREATE = 500_000
_GAS_PRICE = 10**11
"""Far above the base fee, which rises with full blocks."""

# A balance is in the slot that has its owner's address as number. Calldata: receiver and amount, 32 bytes each. Refused
# are, as in `accounts.transfer`: nothing, to oneself, more than one has, and what would overflow the receiver's.
TRANSFER = """
    PUSH1 32  CALLDATALOAD            ; amount
    DUP1  ISZERO  PUSH2 @refuse  JUMPI
    PUSH1 0  CALLDATALOAD             ; amount, to
    DUP1  CALLER  EQ  PUSH2 @refuse  JUMPI
    CALLER  SLOAD                     ; amount, to, mine
    DUP3  DUP2  LT  PUSH2 @refuse  JUMPI
    DUP3  SWAP1  SUB  CALLER  SSTORE  ; amount, to
    DUP1  SLOAD                       ; amount, to, theirs
    DUP3  DUP2  ADD                   ; amount, to, theirs, sum
    DUP2  DUP2  LT  PUSH2 @refuse  JUMPI
    DUP3  SSTORE  POP                 ; amount, to
    SWAP1  PUSH1 0  MSTORE            ; to
    CALLER  PUSH32 #transferred       ; to, sender, topic
    PUSH1 32  PUSH1 0  LOG3
    STOP
refuse:
    JUMPDEST  PUSH1 0  PUSH1 0  REVERT
"""
# Gives all there is to whoever creates the contract, and returns the code above, which follows it.
CREATE = """
    PUSH16 #supply  CALLER  SSTORE
    PUSH2 #size  DUP1  PUSH2 @code  PUSH1 0  CODECOPY
    PUSH1 0  RETURN
code:
"""
SUPPLY = 2**127
TOPIC = int.from_bytes(b"transferred".ljust(32, b"\0"), "big")
_OPCODES = {
    "STOP": 0x00,
    "ADD": 0x01,
    "SUB": 0x03,
    "LT": 0x10,
    "EQ": 0x14,
    "ISZERO": 0x15,
    "CALLER": 0x33,
    "CALLDATALOAD": 0x35,
    "CODECOPY": 0x39,
    "POP": 0x50,
    "MSTORE": 0x52,
    "SLOAD": 0x54,
    "SSTORE": 0x55,
    "JUMPI": 0x57,
    "JUMPDEST": 0x5B,
    "LOG3": 0xA3,
    "RETURN": 0xF3,
    "REVERT": 0xFD,
} | {f"{name}{n}": base + n for name, base in (("PUSH", 0x5F), ("DUP", 0x7F), ("SWAP", 0x8F)) for n in range(1, 33)}


def assemble(source: str, **values: int) -> bytes:
    """Turn mnemonics into code. `name:` is a place, `@name` its offset, `#name` a value of `values`; `;` comments."""
    words = [word for line in source.splitlines() for word in line.partition(";")[0].split()]
    places: dict[str, int] = {}
    for _ in range(2):  # the first round finds the places
        code = bytearray()
        width = 0
        for word in words:
            if word.endswith(":"):
                places[word[:-1]] = len(code)
            elif width:
                number = (
                    places.get(word[1:], 0) if word[0] == "@" else values[word[1:]] if word[0] == "#" else int(word)
                )
                code += number.to_bytes(width, "big")
                width = 0
            else:
                code.append(_OPCODES[word])
                width = int(word[4:]) if word.startswith("PUSH") else 0
    return bytes(code)


def token_code() -> bytes:
    """What a transaction that creates the contract carries."""
    runtime = assemble(TRANSFER, transferred=TOPIC)
    return assemble(CREATE, supply=SUPPLY, size=len(runtime)) + runtime


@dataclass(frozen=True, slots=True)
class EvmFigures:
    """What py-evm did with signed transactions, taken in raw, validated, executed and mined: per CPU second."""

    each_mined_tx_per_cpu_s: float
    """By eth-tester as it comes: a block a transaction."""
    in_blocks_tx_per_cpu_s: float
    """By its backend alone, without its checks of what comes in and goes out."""
    transactions: int
    gas_per_transaction: int
    versions: dict[str, str]


class _Token:
    """The contract on a chain of its own, and ten accounts that pay each other in turn, as ours do."""

    def __init__(self) -> None:
        import eth_account
        from eth_tester import EthereumTester, PyEVMBackend
        from eth_tester.backends.pyevm.main import get_default_account_keys

        self.tester = EthereumTester(PyEVMBackend())
        self._people = [eth_account.Account.from_key(key.to_bytes()) for key in get_default_account_keys()]
        self._nonces = [0] * len(self._people)
        created = self._done(self._sign(0, None, token_code()))
        self._contract = bytes.fromhex(created["contract_address"][2:])
        for other in range(1, len(self._people)):
            self._done(self._pay(0, other, 10**12))

    def payments(self, count: int) -> list[bytes]:
        people = len(self._people)
        return [self._pay(number % people, (number + 1) % people, 1) for number in range(count)]

    def check(self, tx_id: str) -> int:
        """Return the gas that a payment used. Raises RuntimeError when it was refused or told nobody."""
        receipt = self.tester.get_transaction_receipt(tx_id)
        if receipt["status"] != 1 or len(receipt["logs"]) != 1:
            raise RuntimeError("a payment in the EVM was refused")
        return int(receipt["gas_used"])

    def _pay(self, sender: int, to: int, amount: int) -> bytes:
        receiver = bytes.fromhex(self._people[to].address[2:]).rjust(32, b"\0")
        return self._sign(sender, self._contract, receiver + amount.to_bytes(32, "big"))

    def _sign(self, sender: int, to: bytes | None, data: bytes) -> bytes:
        fields = {
            "nonce": self._nonces[sender],
            "gas": _GAS if to is not None else _GAS_TO_CREATE,
            "gasPrice": _GAS_PRICE,
            "value": 0,
            "data": data,
            "chainId": self.tester.backend.chain.chain_id,
        }
        self._nonces[sender] += 1
        signed = self._people[sender].sign_transaction(fields if to is None else fields | {"to": to})
        return bytes(signed.raw_transaction)

    def _done(self, raw: bytes) -> Any:
        receipt = self.tester.get_transaction_receipt(self.tester.send_raw_transaction("0x" + raw.hex()))
        if receipt["status"] != 1:
            raise RuntimeError("the EVM refused what the comparison rests upon")
        return receipt


def measure(transactions: int, progress: Callable[[str], None]) -> EvmFigures | None:
    """Time so many payments each way; None where eth-tester is not installed.

    Raises RuntimeError when a payment did not do what it should: then there is nothing to compare.
    """
    try:
        versions = {name: version(name) for name in ("eth-tester", "py-evm", "eth-account")}
    except PackageNotFoundError:
        return None
    progress(f"eth-tester: {transactions} payments")
    token = _Token()
    payments = ["0x" + payment.hex() for payment in token.payments(transactions)]
    start = process_time()
    ids = [token.tester.send_raw_transaction(payment) for payment in payments]
    each_s = process_time() - start
    gas = token.check(ids[-1])

    token = _Token()
    backend = token.tester.backend
    raw = token.payments(transactions)
    start = process_time()
    for first in range(0, transactions, _PER_BLOCK):
        sent = [backend.send_raw_transaction(payment) for payment in raw[first : first + _PER_BLOCK]]
        list(backend.mine_blocks(1))  # a generator: nothing is mined before it is asked
    blocks_s = process_time() - start
    token.check("0x" + bytes(sent[-1]).hex())
    return EvmFigures(
        each_mined_tx_per_cpu_s=round(transactions / each_s, 1),
        in_blocks_tx_per_cpu_s=round(transactions / blocks_s, 1),
        transactions=transactions,
        gas_per_transaction=gas,
        versions=versions,
    )
