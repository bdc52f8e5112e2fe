"""The bench of the proof-of-work ledger, at a size for tests; figures are not judged, for machines differ."""

import pytest

from chain.transition import APPLIED, BEGINNINGS
from experiments import bench_pow, evm_token
from experiments.bench_pow import Size, run, table

TINY = Size(empty_blocks=60, full_blocks=2, per_block=20, reorganisation=4, evm_transactions=6)


def test_every_figure_is_measured_and_explained():
    told = []
    report = run(TINY, progress=told.append)
    text = table(report)
    assert len(told) >= 4
    assert all(value >= 0 for value in report["figures"].values())
    assert all(report["figures"][name] > 0 for name in report["figures"] if "per_cpu_s" in name)
    assert all(name in text for name in report["figures"])
    assert set(report["figures"]) <= set(bench_pow._MEANINGS)
    assert APPLIED.enabled and not len(BEGINNINGS)


def test_without_eth_tester__says_how_to_install_it(monkeypatch):
    def missing(name):
        raise evm_token.PackageNotFoundError(name)

    monkeypatch.setattr(evm_token, "version", missing)
    report = run(TINY)
    assert report["evm"] is None
    assert not any(name.startswith("evm") for name in report["figures"])
    assert evm_token.HOW_TO_INSTALL in table(report)


def test_with_eth_tester__stands_beside():
    pytest.importorskip("eth_tester")
    report = run(TINY)
    assert report["figures"]["times_evm"] > 1
    assert report["evm"]["gas_per_transaction"] > 21_000


def test_assembler_by_hand():
    """Places may be named before they are reached; numbers are as wide as their PUSH says."""
    code = evm_token.assemble(
        "PUSH2 @end JUMPI ; what follows is a remark STOP\n PUSH1 7 PUSH4 #big end: JUMPDEST", big=258
    )
    assert code.hex() == "610" + "00b" + "57" + "6007" + "6300000102" + "5b"


def test_contract_code():
    """As it was when it ran in the EVM: 32 bytes that create it, and the contract."""
    code = evm_token.token_code()
    assert code[:32].hex() == "6f800000000000000000000000000000003355610062806100206000396000f3"
    assert len(code) == 32 + 0x62
    assert code[32:48].hex() == "602035801561005c5760003580331461"
