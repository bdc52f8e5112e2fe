"""Campaigns as pages and JSON, and the forms that publish and bid: what they do, what they refuse and why."""

import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from actors.control import CommandRefusedError
from tests.web.markup import Markup
from tests.web.population import START_MS, ident
from tests.web.test_forms import Person

NOW_MS = START_MS + 80_000
TASK = {
    "lat": "52.5123",
    "lon": " 13.4 ",
    "reward": "0.25",
    "samples": "2",
    "interval": "12.5",
}


@pytest.fixture
def campaigns(population):
    return population.campaigning


@pytest.fixture
def path(campaigns):
    return f"/campaigns/{campaigns.ids[0]}"


@pytest.fixture
def person(app, worker):
    return Person(app, worker)


async def read(response, status=200):
    assert response.status_code == status, await response.get_data(as_text=True)
    return Markup(await response.get_data(as_text=True))


async def see(person, path, status=200, actor=None):
    return await read(await person.client.get(f"/actors/{actor or person.actor}{path}"), status)


async def data(person, path, status=200):
    response = await person.client.get(f"/actors/{person.actor}{path}{'&' if '?' in path else '?'}format=json")
    assert response.status_code == status
    return json.loads(await response.get_data())


def collection(campaigns):
    return next(phase for phase in campaigns.view.phases if phase.name == "collection")


async def choose(person, path, tasks):
    """Send a form with these checkboxes ticked."""
    await person.post("/attend", attended="")  # to have a token
    body = urlencode([("csrf_token", person.token), *(("task", number) for number in tasks)])
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return await person.client.post(f"/actors/{person.actor}{path}", data=body, headers=headers)


def names(page):
    return [box.get("id") for _, box in page.elements if box.get("aria-invalid") == "true"]


# What is. -----------------------------------------------------------------------------------------------------------


async def test_the_list_pages_by_id_and_links_each(person, campaigns):
    page = await see(person, "/campaigns")
    assert "Publishing" in page.text and "requester-02" in page.text
    links = [
        link["href"]
        for link in page.all("a")
        if (link.get("href") or "").startswith(f"/actors/{person.actor}/campaigns/")
    ]
    assert links == [f"/actors/{person.actor}/campaigns/{each}" for each in campaigns.ids]
    first = await data(person, "/campaigns?limit=2")
    assert [each["id"] for each in first["campaigns"]] == campaigns.ids[:2]
    rest = json.loads(await (await person.client.get(first["next"] + "&format=json")).get_data())
    assert [each["id"] for each in rest["campaigns"]] == campaigns.ids[2:] and rest["next"] is None
    for wrong in ("?limit=50", "?limit=x", "?after=" + "a" * 200):
        assert (await see(person, f"/campaigns{wrong}", 422)).text


async def test_the_way_there_is_shown_only_when_there_are_campaigns(person, campaigns):
    for path in ("/", f"/actors/{person.actor}"):
        page = await read(await person.client.get(path))
        assert "Campaigns" in page.text
    response = await person.client.get("/campaigns")
    assert response.status_code == 303 and "/campaigns" in response.headers["Location"]
    campaigns.ids.clear()
    for path in ("/", f"/actors/{person.actor}"):
        assert "Campaigns" not in (await read(await person.client.get(path))).text
    assert "No campaign was deployed yet" in (await see(person, "/campaigns")).text


async def test_each_phase_says_what_can_be_done_and_has_its_form_alone(person, campaigns, path):
    for phase, words, form in (
        ("registration", "Until then oracles register", None),
        ("publishing", "94.00 credits", "task-form"),
        ("bidding", "A bid locks 0.50 credits", "plan-form"),
        ("selection", "oracles are at work", None),
        ("collection", "by themselves", None),
        ("submission", "by themselves", None),
        ("done", "until the organizer begins another cycle", None),
        ("closed", "ended for good", None),
    ):
        campaigns.set_phase(phase)
        page = await see(person, path)
        assert words in page.text
        forms = [box["id"] for box in page.all("form") if "-form" in (box.get("id") or "")]
        assert forms == ([form] if form else [])
        assert len([box for box in page.all("li") if box.get("aria-current") == "step"]) == 1


async def test_a_phase_that_is_over_by_the_clock_has_no_form(person, campaigns, path):
    for phase, words in (("publishing", "The time to publish tasks is over"), ("bidding", "The time to bid is over")):
        campaigns.set_phase(phase, ends_ms=NOW_MS - 1)
        page = await see(person, path)
        assert words in page.text
        assert not any("-form" in (form.get("id") or "") for form in page.all("form"))


async def test_tasks_paths_winners_oracles_terms_and_money(person, campaigns, path):
    campaigns.set_phase("collection")
    campaigns.select()
    page = await see(person, path)
    for words in (
        "requester-01", "1 / 2 too few", "1.50", "worker-02", "Selected", "Not selected", "3 25 %", "7 50 %",
        "1.2 km", "worker-06 selected 1 path 9 s ago", "Too few paths pass task 7", "drawn returned", "0.50 credits",
        "Paths that need more than 12.0 m/s are refused", "7.50", "5.50 held", "1.50 paid to workers", "0.50 back to requesters",
        "Reward, task 3", "The latest 12 of 23",
    ):  # fmt: skip
        assert words in page.text, words
    assert "12D3Koo" not in page.text, "who is known is called by name"
    assert [line["data-look"] for line in page.all("polyline")] == ["left", "taken"], "what matters most lies on top"
    marks = {mark["data-id"]: mark["data-state"] for mark in page.all("a") if "data-id" in mark}
    assert marks == {"task-3": "task-covered", "task-7": "task-short"}
    everything = await see(person, f"{path}?flows=100")
    assert "Deposit back" in everything.text and "Bond locked – campaign" in everything.text


async def test_a_cycle_that_came_to_nothing_says_so(person, campaigns, path):
    campaigns.set_phase("done", void=True)
    campaigns.view = replace(campaigns.view, bids=[replace(bid, stage="void") for bid in campaigns.view.bids])
    page = await see(person, path)
    assert "void: all goes back" in page.text and "the cycle came to nothing" in page.text


async def test_a_campaign_without_anything_yet(person, campaigns, path):
    campaigns.set_phase("registration")
    campaigns.view = replace(campaigns.view, tasks=(), bids=(), oracles=(), flows=(), purses=())
    page = await see(person, path)
    for words in (
        "No task was published in this cycle yet",
        "Paths are bid once",
        "No oracle has registered yet",
        "No money has moved",
    ):
        assert words in page.text


async def test_an_own_bid_is_shown_and_no_second_one_asked_for(person, population, campaigns, path):
    campaigns.set_phase("bidding")
    bidder = population.by_name("worker-02")
    page = await see(person, path, actor=bidder)
    assert "Your bid is in" in page.text and "This actor's path" in page.text
    assert not any((form.get("id") or "") == "plan-form" for form in page.all("form"))
    assert any("path--mine" in (line.get("class") or "") for line in page.all("polyline"))


async def test_who_does_not_walk_is_shown_who_does(person, population, campaigns, path):
    campaigns.set_phase("bidding")
    page = await see(person, path, actor=population.by_name("miner-01"))
    assert "Workers bid now" in page.text
    links = [link.get("href") for link in page.all("a")]
    assert f"/actors/{population.by_name('worker-01')}{path}" in links


async def test_what_does_not_exist_is_not_found(person, path):
    for wrong in (f"/campaigns/{ident('nothing')}", "/campaigns/xyz", "/campaigns/%3Cscript%3E"):
        assert "unknown" in (await data(person, wrong, 404))["error"]
    assert (await person.client.get(f"/actors/nobody{path}")).status_code == 404
    assert (await see(person, f"{path}?flows=9999", 422)).text


async def test_a_silent_ledger_is_503(person, population, path):
    population.ledger_answers = False
    for where in ("/campaigns", path):
        assert (await data(person, where, 503))["error"] == "ledger_unavailable"


# Publishing. --------------------------------------------------------------------------------------------------------


async def test_a_task_is_published_and_said_once(person, campaigns, path):
    first, last = collection(campaigns).starts_ms, collection(campaigns).ends_ms
    page = await see(person, path)
    suggested = page.value("time")
    response = await person.post(f"{path}/tasks", **TASK, time=suggested)
    assert response.status_code == 303 and response.headers["Location"].endswith(path)
    ((actor, made),) = campaigns.published
    assert first <= made.pop("time_ms") <= last
    assert (actor, made) == (
        person.actor,
        {"lat": 52.5123, "lon": 13.4, "reward": 250_000, "samples": 2, "interval_ms": 12_500},
    )
    assert "Task 127 is published" in (await see(person, path)).text
    assert "Task 127 is published" not in (await see(person, path)).text


NONSENSE = [
    ("lat", "nan"), ("lat", "90.1"), ("lat", "9" * 8000), ("lon", "<script>"), ("lon", "-181"),
    ("reward", "0"), ("reward", "-1"), ("reward", "1e3"), ("reward", "0.0000001"), ("reward", "١"), ("reward", "1" * 30),
    ("samples", "0"), ("samples", "17"), ("samples", "2.5"), ("samples", ""),
    ("time", "2026-01-01T00:00"), ("time", "2026-13-01T00:00:00"), ("time", "yesterday"), ("time", "9999-12-31T23:59:59"),
    ("interval", "0"), ("interval", "-3"), ("interval", "inf"), ("interval", "1" * 9000),
]  # fmt: skip


async def test_what_cannot_be_meant_is_422_beside_its_field(person, campaigns, path):
    suggested = (await see(person, path)).value("time")
    for field, text in NONSENSE:
        response = await person.post(f"{path}/tasks", **TASK | {"time": suggested, field: text})
        page = await read(response, 422)
        assert names(page) == [field], text
        assert f"{field}-error" in [attributes.get("id") for _, attributes in page.elements]
        kept = next(name for name in TASK if name != field)
        assert page.value(kept) == TASK[kept].strip(), "what was typed is kept"
    assert campaigns.published == []


async def test_a_refused_task_says_why_in_words_and_keeps_what_was_typed(person, campaigns, path):
    suggested = (await see(person, path)).value("time")
    for reason, words in (
        ("insufficient_balance", "does not have the money"),
        ("phase_over", "The time for that is over"),
        ("campaign_full", "no room left"),
        ("never_heard_of", "never_heard_of"),
    ):
        campaigns.refuse_next = CommandRefusedError(reason, "has 5, <b>needs</b> 9")
        page = await read(await person.post(f"{path}/tasks", **TASK, time=suggested), 409)
        assert words in page.text and "has 5, <b>needs</b> 9" in page.text, "escaped, and with the detail"
        assert page.value("reward") == "0.25"
    assert campaigns.published == []


async def test_forms_need_the_sessions_token(person, path):
    client = person.client
    for where in ("tasks", "plan", "bids"):
        response = await client.post(f"/actors/{person.actor}{path}/{where}", form={"task": "3"})
        assert response.status_code == 403


# Bidding. -----------------------------------------------------------------------------------------------------------


async def test_a_path_is_planned_shown_and_bid(person, campaigns, path):
    campaigns.set_phase("bidding")
    for sent, chosen in enumerate([(), (7,), (7, 3)]):
        page = await read(await choose(person, f"{path}/plan", chosen))
        assert "2.5 km from start to destination" in page.text
        assert any(line["data-look"] == "planned" for line in page.all("polyline"))
        hidden = [box["value"] for box in page.all("input") if (box.get("name"), box.get("type")) == ("task", "hidden")]
        assert hidden == [str(number) for number in sorted(chosen)], (
            "none where the device chose: it chooses the same again"
        )
        assert len(campaigns.bidden) == sent, "nothing is sent before that is confirmed"
        response = await choose(person, f"{path}/bids", hidden)
        assert response.status_code == 303
        assert campaigns.bidden[sent:] == [(person.actor, sorted(chosen))]
        count = len(chosen) or 2
        assert (
            f"A path of {count} task{'' if count == 1 else 's'} is bid, 2.5 km long" in (await see(person, path)).text
        )


async def test_a_refused_path_says_why(person, campaigns, path):
    campaigns.set_phase("bidding")
    for where in ("plan", "bids"):
        for reason, words in (("cannot_walk", "cannot walk that"), ("bid_twice", "has bid in this cycle already")):
            campaigns.refuse_next = CommandRefusedError(reason, "within reach together: 3")
            page = await read(await choose(person, f"{path}/{where}", [3, 7]), 409)
            assert words in page.text and f"{reason}: within reach together: 3" in page.text
            checked = [box["value"] for box in page.all("input") if "checked" in box]
            assert checked == ["3", "7"], "what was chosen is kept"
    assert campaigns.bidden == []


async def test_tasks_that_cannot_be_meant_are_422(person, campaigns, path):
    campaigns.set_phase("bidding")
    for chosen in (["x"], ["-1"], ["128"], ["3", "<script>"], ["1" * 5000], ["3"] * 129):
        for where in ("plan", "bids"):
            assert (await choose(person, f"{path}/{where}", chosen)).status_code == 422
    assert campaigns.bidden == []


async def test_a_refusal_of_another_phase_is_still_told(person, campaigns, path):
    campaigns.set_phase("selection")
    campaigns.refuse_next = CommandRefusedError("wrong_phase", "it is selection, needed is bidding")
    page = await read(await choose(person, f"{path}/bids", [3]), 409)
    assert "The campaign is in another phase now" in page.text


async def test_taking_over_leads_back_to_the_campaign(person, population, campaigns, path):
    campaigns.set_phase("bidding")
    assert "bids by itself" in (await see(person, path)).text
    response = await person.post("/attend", attended="true", campaign=campaigns.ids[0])
    assert response.headers["Location"] == f"/actors/{person.actor}{path}"
    assert "bids by itself" not in (await see(person, path)).text
    for elsewhere in ("//evil.example", "https://evil.example/" + "a" * 40, "../.."):
        response = await person.post("/attend", attended="true", campaign=elsewhere)
        assert response.headers["Location"] == f"/actors/{person.actor}"


async def test_what_others_wrote_is_escaped(person, campaigns, path):
    hostile = '"><script>alert(1)</script>'
    view = campaigns.view
    campaigns.view = replace(
        view,
        summary=replace(view.summary, organizer=hostile),
        tasks=[replace(task, requester=hostile, winners=(hostile,)) for task in view.tasks],
        oracles=[replace(view.oracles[0], account=hostile)],
        flows=[replace(view.flows[0], source=hostile, kind=hostile)],
    )
    response = await person.client.get(f"/actors/{person.actor}{path}")
    text = await response.get_data(as_text=True)
    assert "<script>alert" not in text
    assert hostile[:6] not in text


async def test_a_campaign_is_found_by_its_id(person, campaigns):
    response = await person.client.get(f"/search?q={campaigns.ids[1]}&actor={person.actor}")
    assert response.status_code == 303
    assert response.headers["Location"] == f"/actors/{person.actor}/campaigns/{campaigns.ids[1]}"


async def test_a_campaigns_calls_read_well_in_a_block(person, population, campaigns):
    """Moments and lengths of time are told apart, money has its unit, and who and which campaign are links."""
    made = population.transaction(0, ok=True)
    call = replace(
        made,
        contract="campaign",
        method="bid_path",
        arguments=(
            ("campaign", campaigns.ids[0]),
            ("path", f"task 3, arrival_ms {START_MS}, task 7, arrival_ms {START_MS + 1_000}"),
            ("terms", "durations_ms 12500, durations_ms 30000, deposit 500000"),
        ),
        events=(("campaign.rewarded", (("amount", "1500000"), ("worker", population.by_name("worker-02")))),),
    )
    population.transaction = lambda number, ok: call
    page = await see(person, "/blocks/3")
    for words in (
        "path : task 3, arrival 2026-09-21 14:13:20 UTC, task 7, arrival 2026-09-21 14:13:21 UTC",
        "durations 12.5 s, durations 30 s, deposit 0.50 credits",
        "emitted : campaign.rewarded amount : 1.50 credits worker : worker-02",
    ):
        assert words.replace(" :", "") in page.text.replace(" :", ""), words
    assert f"/actors/{person.actor}/campaigns/{campaigns.ids[0]}" in [link.get("href") for link in page.all("a")]
