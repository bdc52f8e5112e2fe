"""Forms: what they do, what they refuse and why, and that a refusal changes nothing."""

import pytest

from actors.control import CommandRefusedError
from tests.web.markup import Markup


class Person:
    """Someone at a browser without scripts: keeps cookies and the token of the form."""

    def __init__(self, app, actor):
        self.client = app.test_client()
        self.actor = actor
        self.token = None

    async def post(self, path, **fields):
        if self.token is None:
            page = Markup(await (await self.client.get(f"/actors/{self.actor}")).get_data(as_text=True))
            self.token = page.value("csrf_token")
        return await self.client.post(f"/actors/{self.actor}{path}", form={"csrf_token": self.token, **fields})


@pytest.fixture
def person(app, worker):
    return Person(app, worker)


async def read(response):
    return Markup(await response.get_data(as_text=True))


async def test_a_report_is_submitted_and_said_once(person, population):
    response = await person.post("/reports", type="pothole", lat=" 52.4912 ", lon="13.41")
    assert response.status_code == 303
    view = population.found[0]
    assert response.headers["Location"].endswith(view.id)
    assert (view.type, view.lat, view.lon) == ("pothole", 52.4912, 13.41)
    path = response.headers["Location"]
    refresh = await read(await person.client.get(path, headers={"X-Refresh": "1"}))
    assert "on its way" not in refresh.text, "a refresh in the background does not eat the message"
    assert "on its way" in (await read(await person.client.get(path))).text
    assert "on its way" not in (await read(await person.client.get(path))).text


async def test_a_refused_report_keeps_what_was_typed(person, population):
    near = population.found[3]
    count = len(population.found)
    response = await person.post("/reports", type=near.type, lat=str(near.lat), lon=str(near.lon))
    assert response.status_code == 409
    page = await read(response)
    assert "duplicate_report" in page.text and "an equal report is 40 m away" in page.text
    assert (page.value("lat"), page.value("lon")) == (str(near.lat), str(near.lon))
    assert [option["value"] for option in page.all("option") if "selected" in option] == [near.type]
    assert len(population.found) == count


@pytest.mark.parametrize(
    "field, text",
    [
        ("lat", "nan"),
        ("lat", "inf"),
        ("lat", "1e999"),
        ("lat", "1e1"),
        ("lat", ""),
        ("lat", "90.1"),
        ("lat", "-91"),
        ("lat", "52,5"),
        ("lat", "0x10"),
        ("lat", "٥٢"),
        ("lat", "5 2"),
        ("lat", "1_0"),
        ("lat", "9" * 8000),
        ("lon", "180.0001"),
        ("lon", "-1" * 300),
        ("lon", "<script>"),
        ("lon", "13\n.4"),
        ("type", "unheard of"),
        ("type", ""),
        ("type", "pothole\0"),
    ],
)
@pytest.mark.parametrize("path", ["/reports", "/reports/check"])
async def test_what_cannot_be_meant_is_422_beside_its_field(person, population, path, field, text):
    count = len(population.found)
    response = await person.post(path, **{"type": "pothole", "lat": "52.5", "lon": "13.4", field: text})
    assert response.status_code == 422
    page = await read(response)
    names = [box.get("id") for _, box in page.elements if box.get("aria-invalid") == "true"]
    assert names == [field]
    assert f"{field}-error" in [attributes.get("id") for _, attributes in page.elements]
    assert len(population.found) == count


async def test_40_kilobytes_are_too_large(person, population):
    response = await person.post("/reports", type="x" * 40_000, lat="52.5", lon="13.4")
    assert response.status_code == 413
    assert "See all actors" in (await read(response)).text


async def test_the_edges_of_the_world_are_in_it(person, population):
    for lat, lon in (("90", "180"), ("-90", "-180"), ("+0.5", "-0")):
        assert (await person.post("/reports", type="pothole", lat=lat, lon=lon)).status_code == 303


async def test_checking_submits_nothing(person, population):
    near, count = population.found[3], len(population.found)
    busy = await person.post("/reports/check", type=near.type, lat=str(near.lat), lon=str(near.lon))
    assert busy.status_code == 200 and "Already reported near there" in (await read(busy)).text
    free = await person.post("/reports/check", type=near.type, lat="52.4", lon="13.4")
    assert "Nobody has reported this there yet" in (await read(free)).text
    assert len(population.found) == count


async def test_nearby_as_json(app, worker, population):
    near = population.found[3]
    client = app.test_client()
    answer = await client.get(f"/actors/{worker}/nearby?type={near.type}&lat={near.lat}&lon={near.lon}")
    assert [view["id"] for view in (await answer.get_json())["nearby"]] == [near.id]
    for query in ("type=pothole&lat=nan&lon=1", "type=x&lat=1&lon=1", "lat=1&lon=1"):
        bad = await client.get(f"/actors/{worker}/nearby?{query}&format=json")
        assert bad.status_code == 422 and (await bad.get_json())["error"] == "bad_input"


@pytest.mark.parametrize("choice, confirm", [("confirm", True), ("reject", False)])
async def test_a_vote_is_cast(person, population, worker, choice, confirm):
    ballot = population.asked[0].report
    response = await person.post(f"/ballots/{ballot}", choice=choice)
    assert response.status_code == 303 and response.headers["Location"] == f"/actors/{worker}#ballots"
    assert population.votes == [(worker, ballot, confirm)]


async def test_a_vote_that_is_none_or_not_asked_for(person, population):
    ballot = population.asked[0].report
    for choice in ("", "maybe", "CONFIRM"):
        assert (await person.post(f"/ballots/{ballot}", choice=choice)).status_code == 422
    refused = await person.post(f"/ballots/{'0' * 64}", choice="confirm")
    assert refused.status_code == 409 and "not_assigned" in (await read(refused)).text
    population.refuse_next = CommandRefusedError("deadline_passed", "two blocks late")
    late = await person.post(f"/ballots/{ballot}", choice="confirm")
    assert late.status_code == 409 and "two blocks late" in (await read(late)).text
    assert population.votes == []


async def test_take_over_and_give_back(person, population, worker):
    assert (await person.post("/attend", attended="true")).status_code == 303
    assert population.actor(worker).summary.attended
    assert (await person.post("/attend", attended="false")).status_code == 303
    assert not population.actor(worker).summary.attended
    assert (await person.post("/attend", attended="1")).status_code == 422
    population.refuse_next = CommandRefusedError("not_running", "it stopped")
    refused = await person.post("/attend", attended="true")
    assert refused.status_code == 409 and "it stopped" in (await read(refused)).text


async def test_a_silent_ledger_refuses_a_report_with_503(person, population):
    population.ledger_answers = False
    response = await person.post("/reports", type="pothole", lat="52.4", lon="13.4")
    assert response.status_code == 503
