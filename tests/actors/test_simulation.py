"""Whole populations in virtual time: what must come of a run, whatever its seed, and what must not."""

from collections import Counter

import pytest

from chain.contract import encode_args, event_fields
from chain.contracts.accounts import balance_of
from chain.contracts.spatial_records import STATUSES
from tests.actors.simulated import simulate, small
from tests.checkers import of_kind, violations, what_went_wrong


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A minute of a small town in which everybody sees what is there."""
    return simulate(small(seed=6), tmp_path_factory.mktemp("honest"))  # seven of its nineteen reports are false


def test_nothing_is_wrong(honest):
    assert violations(honest.report, honest.journal) == []


def test_reports_are_confirmed_paid_and_closed(honest):
    reports, rewards = honest.report["reports"], honest.report["rewards"]
    assert reports["confirmed"] >= 5
    assert reports["closed"] >= 3
    assert min(rewards.values()) > 0
    assert rewards["miner"] == honest.report["chain"]["final_height"] * 1_000_000


def test_everybody_is_paid_what_was_announced(honest):
    """Balances are what final blocks paid, nothing more: nobody began with anything."""
    node = honest.swarm.full_nodes[0]
    paid = Counter()
    for height in range(1, node.core.final.height + 1):
        block, receipts = node.core.block(height), node.core.receipts(height)
        paid[bytes(block.header.producer)] += 1_000_000
        for receipt in receipts:
            for event in receipt.events:
                if (event.contract, event.name) == ("accounts", "minted"):
                    fields = event_fields(event)
                    paid[bytes(fields["account"])] += fields["amount"]
    held = {
        bytes(m.identity.account): balance_of(node.core.final_state, m.identity.account) for m in honest.swarm.members
    }
    assert {who: amount for who, amount in held.items() if amount} == dict(paid)


def test_only_false_reports_are_rejected_and_only_true_ones_confirmed(honest):
    """With workers that are never wrong; a report whose voters did not all get through may fail all the same."""
    real = {record["id"]: record["real"] for record in of_kind(honest.journal, "reported")}
    node = honest.swarm.full_nodes[0]
    decided = {}
    for height in range(1, node.core.final.height + 1):
        for receipt in node.core.receipts(height):
            for event in receipt.events:
                if event.name in ("confirmed", "rejected"):
                    decided[event_fields(event)["report"].hex()[:16]] = event.name
    judged = {id_: (name, real[id_]) for id_, name in decided.items() if id_ in real}
    assert len(judged) >= 5
    assert ("confirmed", False) not in judged.values()
    assert ("confirmed", True) in judged.values() and ("rejected", False) in judged.values()


def test_all_that_was_published_was_delivered(honest):
    gossip = honest.report["gossip"]
    assert gossip["published"] > 100
    assert gossip["undelivered"] == 0
    assert 0 < gossip["p50_ms"] <= gossip["p99_ms"] <= gossip["max_ms"] < 1_000


def test_the_report_tells_what_the_journal_tells(honest):
    report = honest.report
    assert report["journal_records"] == len(honest.journal)
    kinds = Counter(record["k"] for record in honest.journal)
    assert report["gossip"]["published"] == kinds["published"]
    assert report["gossip"]["delivered"] == kinds["delivered"]
    assert kinds["ballot"] >= report["votes"]["cast"] >= report["votes"]["revealed"] > 0
    assert kinds["up"] == report["actors"] == 14
    assert report["replicas"] == 4
    times = [record["t"] for record in honest.journal]
    assert times == sorted(times) and times[-1] <= 60_000


def test_rejected_when_most_workers_find_nothing(tmp_path):
    run = simulate(small(population__requester__false_share=1.0), tmp_path)
    assert violations(run.report, run.journal) == []
    assert run.report["reports"]["rejected"] >= 8
    assert run.report["reports"]["confirmed"] == 0
    assert run.report["rewards"]["requester"] == run.report["rewards"]["worker"] == 0


def test_nothing_of_a_rejected_report_but_the_fact_remains(tmp_path):
    run = simulate(small(population__requester__false_share=1.0), tmp_path, seconds=40)
    node = run.swarm.full_nodes[0]
    answer = node.answer_query("spatial", "reports", encode_args("rejected", 100, None), final=True)
    rows = run.swarm.world.network.registry.result("spatial", "reports", answer)
    assert rows and all(row.content is None and row.workers == () for row in rows)


def test_expired_when_nobody_is_there(tmp_path):
    run = simulate(small(population__worker__count=2, spatial__assign_window_ms=5_000), tmp_path, seconds=40)
    assert violations(run.report, run.journal) == []
    assert run.report["reports"]["expired"] >= 5
    assert run.report["votes"]["cast"] == 0


def test_duplicates_are_refused_and_counted(tmp_path):
    run = simulate(small(spatial__duplicate_radius_m=20_000, spatial__types=["other"]), tmp_path, seconds=30)
    assert violations(run.report, run.journal) == []
    assert run.report["reports"]["submitted"] == 1
    assert run.report["reports"]["duplicates_refused"] >= 3
    assert {r["reason"] for r in of_kind(run.journal, "report_refused")} == {"duplicate_report"}


@pytest.mark.parametrize("reading", ["paper", "bounded"])
def test_supply_is_conserved_under_both_readings(tmp_path, reading):
    run = simulate(small(spatial__rewards={"reading": reading}), tmp_path)
    assert what_went_wrong(run.report) == []
    assert run.report["reports"]["confirmed"] >= 3


@pytest.mark.parametrize("seed", [1, 2])
def test_frames_are_lost(tmp_path, seed):
    """One frame in twenty, on every link: reports are confirmed all the same, and replicas agree."""
    run = simulate(small(network__loss=0.05, seed=seed, ledger__finality_depth=5), tmp_path)
    assert what_went_wrong(run.report) == []
    assert run.report["reports"]["confirmed"] >= 1
    assert run.report["gossip"]["delivered"] > 500


def test_without_miners_nothing_happens_and_nothing_breaks(tmp_path):
    run = simulate(small(population__miner__count=0), tmp_path, seconds=30)
    assert violations(run.report, run.journal) == []
    assert run.report["chain"]["height"] == 0
    assert run.report["reports"]["submitted"] == 0


def test_the_quota_holds(tmp_path):
    run = simulate(small(ledger__quota=6, ledger__quota_window=10), tmp_path, seconds=40)
    assert violations(run.report, run.journal) == []
    node = run.swarm.full_nodes[0]
    producers = [node.core.header(height).producer for height in range(1, node.core.final.height + 1)]
    assert len(producers) > 15
    for end in range(10, len(producers) + 1):
        assert max(Counter(producers[end - 10 : end]).values()) <= 6


def test_statuses_are_those_of_the_ledger(honest):
    counts = dict(honest.swarm.statuses())
    assert list(counts) == list(STATUSES)
    reports = honest.report["reports"]
    assert counts["closed"] == reports["closed"]
    assert counts["rejected"] == reports["rejected"]
    assert counts["confirmed"] + counts["taken"] + counts["closed"] == reports["confirmed"]
    assert sum(counts.values()) == reports["submitted"]
