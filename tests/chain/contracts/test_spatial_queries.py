"""What the spatial contract answers, page by page."""

import pytest

from chain.contract import encode_args
from chain.contracts.spatial_queries import MAX_PAGE
from chain.contracts.spatial_records import Report
from chain.contracts.spatial_rules import Box, Founder
from chain.errors import Refused
from tests.chain.town import HERE, Town
from tests.strategies import FACILITY, MEC, account

WORKERS = [1, 2, 3, 4, 5, 6]


@pytest.fixture
def town():
    return Town()


def spread(town, count):
    """Reports 1 km apart, in one order of time and another of ids."""
    return [town.submit(60 + n, (HERE[0] + 90_000 * n, HERE[1])) for n in range(count)]


def refusal(town, method, *args):
    with pytest.raises(Refused) as error:
        town.query(method, *args)
    return error.value.reason


@pytest.mark.parametrize("status", ["pending", ""])
@pytest.mark.parametrize("page", [1, 3, 7, 100])
def test_pages_hold_every_report_once(town, status, page):
    submitted = spread(town, 7)
    seen, after = [], None
    while found := town.query("reports", status, page, after):
        assert len(found) <= page
        seen += [report.id for report in found]
        after = seen[-1]
    assert seen == (submitted if status else sorted(submitted))


def test_a_page_goes_on_behind_a_report_that_moved(town):
    first, second, third = spread(town, 3)
    town.decide(second, WORKERS, 2)
    assert [r.id for r in town.query("reports", "pending", 10, second)] == [third]
    assert [r.id for r in town.query("reports", "pending", 10, None)] == [first, third]
    assert [r.id for r in town.query("reports", "confirmed", 10, None)] == [second]


def test_pending_reports_of_a_box(town):
    submitted = spread(town, 5)
    box = Box(HERE[0] + 90_000, HERE[0] + 270_000, HERE[1], HERE[1])
    assert [r.id for r in town.query("pending", box, 10)] == submitted[1:4]
    assert [r.id for r in town.query("pending", box, 2)] == submitted[1:3]
    town.decide(submitted[2], WORKERS, 2)
    assert [r.id for r in town.query("pending", box, 10)] == [submitted[1], submitted[3]]


def test_operators_by_role_and_page():
    founders = tuple(Founder("mec", account(n), *HERE) for n in (MEC, 1, 2, 3))
    town = Town(operators=(*founders, Founder("facility", account(FACILITY), *HERE)))
    listed = [operator.account for operator in town.query("operators", "mec", 10, None)]
    assert listed == sorted(account(n) for n in (MEC, 1, 2, 3))
    assert [o.account for o in town.query("operators", "mec", 2, listed[0])] == listed[1:3]
    assert [o.account for o in town.query("operators", "facility", 10, None)] == [account(FACILITY)]


def test_the_rules_are_public(town):
    rules = town.query("rules")
    assert rules.types == town.rules.types and rules.operators == ()


def test_a_confirmed_report_names_whom_the_paper_names(town):
    """Report, requester, workers who confirmed, type, place, time; and where nobody was (spec: tally)."""
    report = town.submit(60)
    group = town.decide(report, WORKERS, 2)
    found = town.report(report)
    assert found.status == "confirmed"
    assert (found.content.requester, found.content.type) == (account(60), "fire")
    assert (found.content.lat_e7, found.content.lon_e7) == HERE
    assert found.workers == tuple(sorted(account(who) for who in group[:2]))
    (said,) = town.said("confirmed")
    assert said["workers"] == list(found.workers) and said["assigned"] == 3
    assert (said["requester_reward"], said["worker_rewards"]) == (1_000_000, [500_000, 500_000])


def test_a_rejected_report_leaves_nothing_but_the_fact(town):
    report = town.submit(60)
    town.decide(report, WORKERS, 1)
    found = town.report(report)
    expected = Report(
        report, "rejected", None, found.recorded_ms, found.assigned_ms, town.time_ms, (), None, None, None, ""
    )
    assert found == expected
    for key, entry in town.state.scan(b"spatial/"):
        if not key.startswith(b"spatial/operator/"):
            assert account(60) not in key + entry.value, key
            assert HERE[0].to_bytes(4, "big") not in entry.value, key
    town.submit(61)  # and it may be reported again


def test_votes_are_hidden_until_nobody_can_vote(town):
    report = town.submit(60)
    group, sealed = town.assign(report, WORKERS)
    town.vote(report, sealed, group[0], True)
    town.vote(report, sealed, group[1], False)
    stored = {entry.value[-1] for _, entry in town.state.scan(b"spatial/ballot/")}
    assert stored == {0xC0}, "a choice is in the state before the reveal"
    assert [sorted(said) for said in town.said("voted")] == [["report", "worker"]] * 2


def test_queries__reject(town):
    report = town.submit(60)
    assert refusal(town, "reports", "lost", 10, None) == "unknown_status"
    assert refusal(town, "reports", "pending", 10, account(1)) == "unknown_report"
    assert refusal(town, "reports", "pending", MAX_PAGE + 1, None) == "malformed_arguments"
    assert refusal(town, "reports", "pending", 0, None) == "malformed_arguments"
    assert refusal(town, "operators", "mayor", 10, None) == "unknown_role"
    assert refusal(town, "progress", report) == "not_assigned"
    assert refusal(town, "history", b"short", 10) == "malformed_arguments"


def test_what_a_node_answers_fits_a_message(town):
    spread(town, 5)
    registry = town.network.registry
    data = registry.query(town.state, "spatial", "reports", encode_args("", 500, None), time_ms=town.time_ms)
    assert len(data) < 5 * 200


@pytest.mark.parametrize("status", ["pending", ""])
@pytest.mark.parametrize("page", [1, 3, 7, 100])
@pytest.mark.parametrize("gap_ms", [0, 1_000, 3_600_000])
def test_the_latest_come_first_and_each_once(town, status, page, gap_ms):
    """However far apart they are in time: at once, within a span that is looked at in one go, or hours."""
    for n in range(7):
        town.time_ms += gap_ms
        town.submit(60 + n, (HERE[0] + 90_000 * n, HERE[1]))
    expected = sorted(town.query("reports", "pending", 10, None), key=lambda r: (r.recorded_ms, r.id), reverse=True)
    assert len(expected) == 7
    seen, before = [], None
    while found := town.query("latest", status, page, before):
        assert len(found) <= page
        seen += [row.report for row in found]
        before = seen[-1].id
    assert seen == expected


def test_a_page_of_the_latest_goes_on_behind_a_report_that_moved(town):
    submitted = spread(town, 4)
    listed = [row.report.id for row in town.query("latest", "pending", 10, None)]
    assert sorted(listed) == sorted(submitted)
    town.decide(listed[1], WORKERS, 2)
    assert [row.report.id for row in town.query("latest", "pending", 10, listed[1])] == listed[2:]
    assert [row.report.id for row in town.query("latest", "confirmed", 10, None)] == [listed[1]]
    assert refusal(town, "latest", "lost", 10, None) == "unknown_status"


def test_lists_tell_how_far_assigned_reports_are(town):
    first, second = spread(town, 2)
    town.assign(first, WORKERS)
    progress = {row.report.id: row.progress for row in town.query("latest", "", 10, None)}
    assert progress == {first: town.query("progress", first), second: None}


def test_like_finds_what_would_be_a_duplicate(town):
    first = town.submit(60)
    near, far = (HERE[0] + 1, HERE[1]), (HERE[0] + 90_000, HERE[1])
    content = town.report(first).content
    type_, at = content.type, content.time_ms
    other = next(known for known in town.rules.types if known != type_)
    assert [row.report.id for row in town.query("like", type_, *near, at, 5)] == [first]
    assert town.query("like", type_, *far, at, 5) == ()
    assert town.query("like", type_, *near, at + town.rules.duplicate_window_ms + 1, 5) == ()
    assert town.query("like", other, *near, at, 5) == ()
    assert refusal(town, "like", "ufo", *near, at, 5) == "unknown_type"
