"""The bench of the ordered ledger, at a size for tests; figures are not judged, for machines differ."""

import pytest

from chain.transition import APPLIED
from experiments import ordered_throughput
from experiments.bench_ordered import Size, run, table
from experiments.ordered_latency import LatencySize
from experiments.ordered_throughput import ThroughputSize

TINY = Size(
    ThroughputSize(rates=(150,), unshared_rates=(60,), seconds=0.25, warm_s=0.05),
    LatencySize(
        endorsers=(1, 2),
        repetitions=1,
        calls=3,
        variants=(("memory", "solo"), ("memory", "raft")),
        warm_s=0.0,
        warm_calls=1,
    ),
)
CODES = {"VALID", "MVCC_READ_CONFLICT"}


@pytest.fixture(scope="module")
def report():
    return run(TINY)


def rows(report, part):
    return [row for row in report["rows"] if row["part"] == part]


def test_figures_are_named_by_endorsers_and_links(report):
    figures = report["figures"]
    for endorsers in (1, 2):
        for prefix in ("", "solo_"):
            assert figures[f"{prefix}update_p50_ms_{endorsers}"] > 0
            assert figures[f"{prefix}query_p50_ms_{endorsers}"] > 0
    assert {"update_slope_ms", "solo_update_slope_ms"} <= set(figures)
    assert all(figures[name] > 0 for name in figures if name.endswith("_tx_per_s"))
    assert {"valid_tx_per_s", "disjoint_valid_tx_per_s", "hot_valid_tx_per_s", "unshared_valid_tx_per_s"} <= set(
        figures
    )
    assert 0 < figures["goodput_share"] <= 1
    assert (report["bench"], report["interrupted"]) == ("ordered", False)
    assert {"cpu", "cores", "python"} <= set(report["machine"])


def test_every_call_is_accounted_for(report):
    """Each attempt has a code or was not ordered, each call an outcome, and none is left without."""
    assert report["figures"]["unfinished"] == 0
    for row in rows(report, "throughput"):
        assert row["calls"] > 10
        assert sum(row["outcomes"].values()) == row["calls"]
        assert sum(row["codes"].values()) + row["not_ordered"] == round(row["attempts_per_call"] * row["calls"])
        assert set(row["codes"]) <= CODES
        assert row["codes"]["VALID"] == row["outcomes"]["VALID"]
    assert [(row["load"], row["shared"]) for row in rows(report, "throughput")] == [
        ("low", True),
        ("disjoint", True),
        ("hot", True),
        ("low", False),
    ]
    assert APPLIED.enabled


def test_calls_that_touch_nothing_of_others_do_not_conflict(report):
    (row,) = (row for row in rows(report, "throughput") if row["load"] == "disjoint")
    assert set(row["outcomes"]) == {"VALID"}


def test_overload__sends_less_and_ends_all_the_same(monkeypatch):
    """With one call under way at most, a rate of thousands a second is asked for in vain."""
    monkeypatch.setattr(ordered_throughput, "IN_FLIGHT", 1)
    row = ordered_throughput.measure("low", 5_000, ThroughputSize(seconds=0.3, warm_s=0.0))
    assert 0 < row.sent_per_s < 100
    assert row.unfinished == 0


def test_table_shows_every_row_and_what_was_published(report):
    text = table(report)
    assert len([line for line in text.splitlines() if line.startswith(("low ", "low, ", "disjoint ", "hot "))]) == 4
    assert len([line for line in text.splitlines() if line.startswith("memory, ")]) == 4
    assert "1,800-2,100" in text


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), BaseExceptionGroup("of a nursery", [KeyboardInterrupt()])])
def test_interrupted__keeps_what_is_done(stop):
    def progress(_):
        raise stop

    report = run(Size(TINY.throughput, LatencySize(endorsers=())), progress=progress)
    assert report["interrupted"]
    assert len(report["rows"]) == 1
    assert report["figures"]["valid_tx_per_s"] > 0
    assert "low" in table(report)


def test_plot(report, tmp_path):
    pytest.importorskip("matplotlib")
    from experiments.ordered_plots import latencies

    path = latencies(report, tmp_path / "latency.png")
    assert path.read_bytes().startswith(b"\x89PNG")
