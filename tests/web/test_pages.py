"""Each page as HTML and as JSON, its paging, and what it says when there is nothing to show."""

import csv
import io
import json
from dataclasses import replace

import pytest

from tests.web.markup import Markup
from tests.web.population import START_MS, FixedPopulation, ident, report
from web.app import create_app
from web.assets import Assets

UNKNOWN = ident("nothing")


async def html(client, path, status=200):
    response = await client.get(path)
    assert response.status_code == status, path
    assert response.content_type == "text/html; charset=utf-8"
    return Markup(await response.get_data(as_text=True))


async def data(client, path, status=200):
    response = await client.get(path)
    assert response.status_code == status, path
    assert response.content_type == "application/json"
    return json.loads(await response.get_data())


@pytest.fixture
def client(app):
    return app.test_client()


async def test_the_list_of_actors_filters_by_role_and_name(client):
    page = await html(client, "/")
    assert "10 actors in Berlin Mitte" in page.text
    assert "worker-06" in page.text and "miner-02" in page.text
    only = await data(client, "/?role=miner&format=json")
    assert [actor["name"] for actor in only["actors"]] == ["miner-01", "miner-02"]
    named = await data(client, "/?name=ER-01&format=json")
    assert [actor["name"] for actor in named["actors"]] == ["requester-01", "worker-01", "miner-01"]
    assert "No actor matches" in (await html(client, "/?name=nobody")).text


async def test_actors_page_by_key(client, population):
    seen, path = [], "/?limit=3&format=json"
    while path:
        answer = await data(client, path)
        assert len(answer["actors"]) <= 3
        seen += [actor["id"] for actor in answer["actors"]]
        path = answer["next"] and answer["next"] + "&format=json"
    assert seen == [actor.id for actor in population.actors()]


async def test_an_actor_has_what_a_human_needs(client, worker):
    page = await html(client, f"/actors/{worker}")
    for words in ("worker-01", "12.50 credits", "0.25 not final", "140 m away", "Take over", "In review", "3 waiting"):
        assert words in page.text
    marks = [link for link in page.all("a") if (link.get("class") or "").startswith("mark")]
    assert len(marks) == 40
    answer = await data(client, f"/actors/{worker}?format=json")
    assert answer["actor"]["summary"]["balance"] == 12_500_000
    assert len(answer["reports"]) == 40 and answer["ballots"][0]["stage"] == "open"


async def test_what_an_actor_cannot_do_is_not_offered(client, population):
    page = await html(client, f"/actors/{population.by_name('miner-01')}")
    assert "Report something" not in page.text and "Ballots" not in page.text


async def test_reports_page_by_key_and_filter(client, worker, population):
    seen, path = [], f"/actors/{worker}/reports?limit=7&format=json"
    while path:
        answer = await data(client, path)
        seen += [view["id"] for view in answer["reports"]]
        path = answer["next"] and answer["next"] + "&format=json"
    assert seen == [view.id for view in population.found]
    closed = await data(client, f"/actors/{worker}/reports?status=closed&format=json")
    assert {view["status"] for view in closed["reports"]} == {"closed"}


async def test_csv_has_every_row_and_runs_no_formula(client, worker, population):
    population.found.insert(
        0, report(99, "confirmed", type="=HYPERLINK(1)", lon=-13.5, requester="@x", workers=("a", "b"))
    )
    response = await client.get(f"/actors/{worker}/reports?format=csv")
    assert response.content_type.startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(await response.get_data(as_text=True))))
    assert len(rows) == 41
    assert (rows[0]["type"], rows[0]["requester"], rows[0]["lon"]) == ("'=HYPERLINK(1)", "'@x", "-13.5")
    assert rows[0]["workers"] == "a b"


async def test_csv_of_more_than_one_page(client, worker, population):
    population.found = [report(number, "closed") for number in range(2500)]
    response = await client.get(f"/actors/{worker}/reports?format=csv")
    assert len((await response.get_data(as_text=True)).splitlines()) == 2501


async def test_a_report_tells_its_history(client, worker, population):
    view = population.found[0]
    page = await html(client, f"/actors/{worker}/reports/{view.id}")
    assert view.id in page.text
    history = page.text[page.text.index("History") :]
    assert history.index("Pending") < history.index("Expired")
    answer = await data(client, f"/actors/{worker}/reports/{view.id}?format=json")
    assert answer["report"]["history"] == [["pending", view.submitted_ms], ["expired", view.submitted_ms + 400]]


async def test_a_dropped_report_has_no_place(client, worker, population):
    view = report(99, "rejected", type=None, lat=None, lon=None, time_ms=None)
    population.found.insert(0, view)
    assert "A dropped report keeps no place" in (await html(client, f"/actors/{worker}/reports/{view.id}")).text
    page = await html(client, f"/actors/{worker}")
    assert len([link for link in page.all("a") if (link.get("class") or "").startswith("mark")]) == 40


async def test_blocks_page_by_height(client, worker):
    heights, path = [], f"/actors/{worker}/blocks?limit=9&format=json"
    while path:
        answer = await data(client, path)
        heights += [block["height"] for block in answer["blocks"]]
        path = answer["next"] and answer["next"] + "&format=json"
    assert heights == list(range(40, -1, -1))
    assert "waits" in (await html(client, f"/actors/{worker}/blocks")).text


async def test_a_block_by_height_and_id(client, worker, population):
    by_height = await data(client, f"/actors/{worker}/blocks/39?format=json")
    by_id = await data(client, f"/actors/{worker}/blocks/{population.chain[39].id}?format=json")
    assert by_height["block"] == by_id["block"]
    page = await html(client, f"/actors/{worker}/blocks/39")
    for words in ("spatial.vote", "refused: deadline_passed", "Voted", "miner-02", "not final", "Rewards"):
        assert words in page.text
    genesis = await html(client, f"/actors/{worker}/blocks/0")
    assert "/blocks/-1" not in [link.get("href") for link in genesis.all("a")]


@pytest.mark.parametrize(
    "path",
    [
        "/actors/nobody",
        "/actors/nobody/reports",
        "/actors/nobody/reports/" + UNKNOWN,
        "/actors/nobody/blocks",
        "/actors/nobody/blocks/1",
        "/actors/nobody/nearby?type=pothole&lat=1&lon=1",
        "/actors/{worker}/reports/" + UNKNOWN,
        "/actors/{worker}/blocks/999999",
        "/actors/{worker}/blocks/" + UNKNOWN,
        "/search?q=999999",
        "/search?q=" + UNKNOWN,
        "/nothing/here",
        "/channel",
        "/static/0000/page.js",
        "/static/{digest}/../app.py",
    ],
)
async def test_what_is_not_there_is_404_with_a_way_out(app, worker, path):
    digest = Assets().digest
    response = await app.test_client().get(path.replace("{worker}", worker).replace("{digest}", digest))
    assert response.status_code == 404
    page = Markup(await response.get_data(as_text=True))
    assert "See all actors" in page.text
    assert "/" in [link.get("href") for link in page.all("a")]


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=-1",
        "?limit=1e3",
        "?limit=9999999",
        "?limit=%D9%A3",
        "?name=" + "x" * 200,
        "?limit=" + "9" * 5000,
    ],
)
async def test_nonsense_in_a_query_is_422(client, query):
    answer = await data(client, f"/{query}&format=json", 422)
    assert answer["error"] == "bad_input" and answer["detail"]


async def test_more_nonsense(client, worker):
    for path in ("/reports?status=lost", "/reports?limit=1000", "/blocks?before=x", "/blocks/zz", "/blocks/-1"):
        await html(client, f"/actors/{worker}{path}", 422)


async def test_search_goes_to_the_only_hit(client, worker, population):
    block, view = population.chain[7], population.found[5]
    expected = {
        "7": f"/blocks/{block.id}",
        block.id.upper(): f"/blocks/{block.id}",
        view.id: f"/reports/{view.id}",
        "worker-03": f"/actors/{population.by_name('worker-03')}",
        worker: f"/actors/{worker}",
    }
    for query, end in expected.items():
        response = await client.get(f"/search?q={query}")
        assert response.status_code == 303 and response.headers["Location"].endswith(end)
    many = await html(client, "/search?q=worker")
    assert "6 found" in many.text
    assert "Search for a block" in (await html(client, "/search")).text


async def test_search_asks_the_ledger_of_the_actor_at_hand(client, population, worker):
    await html(client, "/search?q=1&actor=nobody", 404)
    response = await client.get(f"/search?q=1&actor={worker}")
    assert f"/actors/{worker}/blocks/" in response.headers["Location"]


async def test_a_silent_ledger_leaves_the_rest_of_the_page(client, population, worker):
    population.ledger_answers = False
    page = await html(client, f"/actors/{worker}")
    assert "does not answer" in page.text and "12.50 credits" in page.text
    assert "Try again soon" in (await html(client, f"/actors/{worker}/blocks", 503)).text


async def test_a_bug_in_a_page_is_a_500_without_a_trace(client, population, worker, monkeypatch, caplog):
    def broken(_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(population, "ballots", broken)
    page = await html(client, f"/actors/{worker}", 500)
    assert "The run goes on" in page.text and "secret detail" not in page.text
    assert "secret detail" in caplog.text


async def test_hostile_text_is_text_in_every_page(population, worker):
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
    population.found[:] = [
        report(1, "odd<b>", type=evil, requester=evil, workers=(evil,), outcome=evil, history=((evil, START_MS),))
    ]
    population.asked = [replace(population.asked[0], type=evil, stage=evil, report=population.found[0].id)]
    population.summaries[0] = replace(population.summaries[0], name=evil, role=evil, state=evil)
    population.chain[39] = replace(population.chain[39], producer=evil)
    population.chain[3] = replace(population.chain[3], id=ident("x"))
    run = replace(
        population.run(), scenario=evil, network=evil, roles=[(evil, 1)], reports=[(evil, 1)], report_types=[evil]
    )
    population.run = lambda: run
    actor = population.summaries[0].id
    client = create_app(population, secret=b"s", allowed_hosts=["localhost"]).test_client()
    paths = ["/", "/search?q=" + "%3Cscript%3E", "/search?q=er", "/?name=%22%3E%3Cscript%3E&role=%3Cscript%3E"]
    for who in (actor, worker):
        paths += [f"/actors/{who}", f"/actors/{who}?type=%22%3E%3Cscript%3E&lat=%3Cscript%3E", f"/actors/{who}/reports"]
        paths += [
            f"/actors/{who}/reports/{population.found[0].id}",
            f"/actors/{who}/blocks",
            f"/actors/{who}/blocks/39",
        ]
    for path in paths:
        response = await client.get(path)
        page = Markup(await response.get_data(as_text=True))
        assert page.all("img") == [], path
        assert all((script.get("src") or "").startswith("/static/") for script in page.all("script")), path
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on") or a == "style"], (
            path
        )


async def test_without_installed_libraries_the_page_says_so(population, worker, tmp_path):
    assets = Assets(modules=tmp_path)
    client = create_app(population, secret=b"s", allowed_hosts=["localhost"], assets=assets).test_client()
    page = await html(client, f"/actors/{worker}")
    assert "The interactive map is not installed" in page.text and "npm ci" in page.text
    assert not [script for script in page.all("script") if "lib/" in (script.get("src") or "")]


async def test_every_script_and_style_of_a_page_exists(client, worker):
    page = await html(client, f"/actors/{worker}")
    links = [script["src"] for script in page.all("script")] + [link["href"] for link in page.all("link")]
    assert len(links) >= 6
    for path in links:
        response = await client.get(path, headers={"Accept-Encoding": "gzip"})
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Content-Encoding"] == "gzip"
        plain = await client.get(path)
        assert "Content-Encoding" not in plain.headers


async def test_an_empty_population_has_pages_too():
    population = FixedPopulation()
    population.found.clear()
    population.asked.clear()
    del population.chain[1:]
    client = create_app(population, secret=b"s", allowed_hosts=["localhost"]).test_client()
    worker = population.by_name("worker-01")
    assert "No reports yet" in (await html(client, f"/actors/{worker}")).text
    assert "Nothing waits for a vote" in (await html(client, f"/actors/{worker}")).text
    assert "No such reports yet" in (await html(client, f"/actors/{worker}/reports")).text
    population.summaries.clear()
    await html(client, "/")
    await html(client, "/search?q=1", 404)


async def test_metrics_are_by_role_and_health_counts_failures(client, population):
    population.summaries[0] = replace(population.summaries[0], state="failed", attended=True)
    text = await (await client.get("/metrics")).get_data(as_text=True)
    for line in (
        'crowdmesh_actors{role="worker",state="running"} 6.0',
        'crowdmesh_actors{role="requester",state="failed"} 1.0',
        'crowdmesh_attended_actors{role="requester"} 1.0',
        "crowdmesh_chain_height 40.0",
        'crowdmesh_reports{status="pending"} 6.0',
        'crowdmesh_peers{role="worker"} 36.0',
    ):
        assert line in text
    assert population.summaries[1].id not in text
    again = await (await client.get("/metrics")).get_data(as_text=True)
    assert 'crowdmesh_http_requests_total{method="GET",status="200"} 1.0' in again
    health = await data(client, "/healthz")
    assert health == {"status": "ok", "height": 40, "actors": 10, "failed": 1}
