"""The pages over a real swarm in virtual time: forms in, pages out, and what that did on the ledger."""

import pytest
import trio

from actors.swarm_control import SwarmControl
from tests.actors.simulated import play, small
from tests.web.conftest import HOSTS, SECRET
from tests.web.markup import Markup
from web.app import create_app

QUIET = {"reports__per_minute": 1e-6, "spatial__vote_window_ms": 20_000, "ledger__finality_depth": 4}
"""Nobody reports but us, and there is time to vote and to see what is not final, however the blocks come."""
PATIENCE_S = 90


class Visitor:
    """A browser without scripts that looks at a swarm: keeps cookies, sends forms, reloads."""

    def __init__(self, swarm, assets):
        control = SwarmControl(swarm)
        self.client = create_app(control, secret=SECRET, allowed_hosts=HOSTS, assets=assets).test_client()
        self.ids = {summary.name: summary.id for summary in control.actors()}

    def path(self, name, rest=""):
        return f"/actors/{self.ids[name]}{rest}"

    async def page(self, path, status=200):
        response = await self.client.get(path)
        assert response.status_code == status, path
        return Markup(await response.get_data(as_text=True))

    async def json(self, path, status=200):
        response = await self.client.get(path + ("&" if "?" in path else "?") + "format=json")
        assert response.status_code == status, path
        return await response.get_json()

    async def post(self, name, rest, **fields):
        token = (await self.page(self.path(name))).value("csrf_token")
        return await self.client.post(self.path(name, rest), form={"csrf_token": token, **fields})

    async def submit(self, name, type_, lat, lon):
        """The path of the new report's page."""
        response = await self.post(name, "/reports", type=type_, lat=f"{lat:.6f}", lon=f"{lon:.6f}")
        assert response.status_code == 303, await response.get_data(as_text=True)
        return response.headers["Location"]

    async def until(self, path, condition):
        """Reload, as JSON, until a condition holds; what it was then."""
        with trio.fail_after(PATIENCE_S):
            while not condition(found := await self.json(path)):  # noqa: ASYNC110 - a visitor reloads
                await trio.sleep(0.2)
        return found

    async def decided(self, path):
        return await self.until(path, lambda f: f["report"]["status"] in ("confirmed", "in_review", "closed"))


@pytest.fixture
def visit(assets):
    """Plays `script(visitor, swarm)` in a swarm of 14 actors."""

    def play_it(script, **changes):
        async def act(swarm):
            await script(Visitor(swarm, assets), swarm)

        play(small(**QUIET | changes), act)

    return play_it


def home(swarm, name="requester-01"):
    where = swarm.actors[name].where()
    return where.lat, where.lon


def test_a_report_from_the_form_to_the_reward(visit):
    async def script(visitor, swarm):
        path = await visitor.submit("requester-01", "fire", *home(swarm))
        # It is on its way: no block has it, yet there is a page for it.
        page = await visitor.page(path)
        assert "is on its way to the ledger" in page.text
        assert "Sent – It waits for a block not final mine" in page.text
        shown = await visitor.until(path, lambda f: f["report"]["status"] == "pending")
        assert not shown["report"]["final"]
        assert "could still be replaced. It is final when 4 blocks stand on it" in (await visitor.page(path)).text
        report = shown["report"]["id"]
        assert shown["submitted"]["transaction"] == report

        shown = await visitor.decided(path)
        assert shown["report"]["votes_confirm"] == len(shown["report"]["workers"]) >= 2
        me = visitor.path("requester-01")
        before = await visitor.until(me, lambda f: f["actor"]["rewards"])
        (reward,) = before["actor"]["rewards"]
        assert (reward["cause"], reward["report"], reward["final"]) == ("requester", report, False)
        assert before["actor"]["pending_reward"] == reward["amount"] > 0
        assert before["actor"]["summary"]["balance"] == 0
        assert "not final" in (await visitor.page(me)).text
        after = await visitor.until(me, lambda f: f["actor"]["summary"]["balance"])
        assert after["actor"]["summary"]["balance"] == reward["amount"]
        assert [entry["final"] for entry in after["actor"]["rewards"]] == [True]
        assert after["actor"]["pending_reward"] == 0

        # Anybody who is asked, the draw can be replayed from blocks.
        for name in ("requester-01", "mec-01"):
            audit = (await visitor.json(visitor.path(name, f"/reports/{report}/audit")))["audit"]
            assert (audit["verdict"], len(audit["group"])) == ("honest", 3)
            assert set(shown["report"]["workers"]) <= set(audit["group"])
        page = await visitor.page(f"{path}/audit")
        assert "The draw is honest" in page.text and "is the one that chance drew" in page.text

        # How long the facility took is public.
        await visitor.until(path, lambda f: f["report"]["status"] == "closed" and f["report"]["final"])
        times = (await visitor.json(visitor.path("facility-01")))["actor"]["responses"]
        assert (times["taken"], times["closed"]) == (1, 1) and times["wait_ms"] > 0 and times["review_ms"] > 0
        assert "it took up 1 confirmed report, on average" in (await visitor.page(visitor.path("facility-01"))).text

        # The block that paid, and the one that recorded it, with calls, arguments and events.
        paying = (await visitor.json(visitor.path("requester-01", f"/blocks/{reward['height']}")))["block"]
        assert [visitor.ids["requester-01"], "requester", reward["amount"]] in paying["rewards"]
        tally = next(tx for tx in paying["transactions"] if tx["method"] == "tally")
        assert ["report", report] in tally["arguments"]
        assert tally["events"][-1][0] == "spatial.confirmed"
        assert ["requester", visitor.ids["requester-01"]] in tally["events"][-1][1]
        text = (await visitor.page(visitor.path("requester-01", f"/blocks/{reward['height']}"))).text
        assert "12D3Koo" not in text, "accounts are named in arguments and events too"
        assert "spatial.tally" in text and "emitted spatial.confirmed" in text and "requester requester-01" in text
        response = await visitor.client.get(f"/search?q={report}")
        assert response.status_code == 303 and response.headers["Location"].endswith(report)
        response = await visitor.client.get(f"/search?q={tally['id']}")
        assert response.headers["Location"].endswith(f"/blocks/{paying['summary']['id']}#tx-{tally['id']}")

    visit(script)


def test_a_taken_over_worker_votes_when_its_human_does(visit):
    async def script(visitor, swarm):
        workers = [name for name in visitor.ids if name.startswith("worker")]
        for name in workers:
            response = await visitor.post(name, "/attend", attended="true")
            assert response.status_code == 303
        path = await visitor.submit("requester-01", "fire", *home(swarm))
        report = path.rpartition("/")[2]
        await visitor.until(path, lambda f: f["report"]["status"] == "assigned")
        asked = []
        with trio.fail_after(PATIENCE_S):
            while len(asked) < 3:
                await trio.sleep(0.1)
                asked = [n for n in workers if any(task.stage == "open" for task in swarm.actors[n].tasks.values())]
        assert (await visitor.json(path))["report"]["votes_cast"] == 0, "the actors wait for their humans"
        human, silent, given_back = asked
        page = await visitor.page(visitor.path(human))
        assert "Give back" in page.text and "Confirm" in page.text
        response = await visitor.post(human, f"/ballots/{report}", choice="confirm")
        assert response.status_code == 303
        again = await visitor.post(human, f"/ballots/{report}", choice="reject")
        assert again.status_code == 409 and "vote_cast" in (await again.get_data(as_text=True))
        assert "Voted, still sealed: confirm (by you)" in (await visitor.page(visitor.path(human))).text
        # Who is given back decides by itself, in time.
        await visitor.post(given_back, "/attend", attended="false")
        shown = await visitor.decided(path)
        assert {visitor.ids[human], visitor.ids[given_back]} == set(shown["report"]["workers"])
        ballots = {name: (await visitor.json(visitor.path(name)))["ballots"][0] for name in asked}
        told = {name: (b["stage"], b["choice"], b["decided_by"]) for name, b in ballots.items()}
        assert told == {
            human: ("revealed", True, "human"),
            given_back: ("revealed", True, "actor"),
            silent: ("missed", None, None),
        }

    visit(script)


def test_taking_over_holds_a_ballot_that_is_open_already(visit):
    """Between being asked and having looked."""

    async def script(visitor, swarm):
        path = await visitor.submit("requester-01", "fire", *home(swarm))
        workers = {n: swarm.actors[n] for n in visitor.ids if n.startswith("worker")}
        with trio.fail_after(PATIENCE_S):
            while not (asked := [n for n, w in workers.items() if w.tasks]):  # noqa: ASYNC110 - asked by chance
                await trio.sleep(0.05)
        await visitor.post(asked[0], "/attend", attended="true")
        (task,) = workers[asked[0]].tasks.values()
        await trio.sleep(4)  # longer than anybody looks
        assert (task.stage, task.choice) == ("open", None)
        await visitor.post(asked[0], f"/ballots/{path.rpartition('/')[2]}", choice="reject")
        await visitor.until(visitor.path(asked[0]), lambda f: f["ballots"][0]["stage"] == "revealed")
        assert (task.choice, task.decided_by) == (False, "human")

    visit(script, population__worker__look_ms=[3000, 3001])


def test_a_duplicate_is_refused_with_its_reason_beside_the_form(visit):
    async def script(visitor, swarm):
        lat, lon = home(swarm)
        path = await visitor.submit("requester-01", "fire", lat, lon)
        await visitor.until(path, lambda f: f["report"]["status"] != "waiting")
        query = f"?type=fire&lat={lat + 0.0001:.6f}&lon={lon:.6f}"
        (near,) = (await visitor.json(visitor.path("worker-01", f"/nearby{query}")))["nearby"]
        assert path.endswith(near["id"])
        response = await visitor.post("worker-01", "/reports", type="fire", lat=f"{lat + 0.0001:.6f}", lon=f"{lon:.6f}")
        assert response.status_code == 409
        page = Markup(await response.get_data(as_text=True))
        assert "Refused: duplicate_report – the same is reported already" in page.text
        assert any(link.get("href") == visitor.path("worker-01", f"/reports/{near['id']}") for link in page.all("a"))
        assert page.value("lat") == f"{lat + 0.0001:.6f}"
        response = await visitor.post("worker-01", "/reports", type="fire", lat="0", lon="0")
        assert response.status_code == 409
        text = Markup(await response.get_data(as_text=True)).text
        assert "out_of_place – latitudes from 44.40000 to 44.60000 and longitudes from 11.20000 to 11.50000" in text
        assert len((await visitor.json(visitor.path("worker-01", "/reports")))["reports"]) == 1

    visit(script)


def test_a_refusal_in_a_block_is_told_on_the_reports_page(visit):
    """Two at once: the second is fine when it is sent, and a duplicate when its block is made."""

    async def script(visitor, swarm):
        people = ("requester-01", "requester-02")
        tokens = {name: (await visitor.page(visitor.path(name))).value("csrf_token") for name in people}
        lat, lon = home(swarm)
        paths = set()

        async def send(name, north):
            fields = {"csrf_token": tokens[name], "type": "fire", "lat": f"{lat + north:.6f}", "lon": f"{lon:.6f}"}
            response = await visitor.client.post(visitor.path(name, "/reports"), form=fields)
            if response.status_code == 303:
                paths.add(response.headers["Location"])

        for attempt in range(5):  # a block in between, which is rare, has the second refused at once
            paths.clear()
            async with trio.open_nursery() as nursery:
                for name in people:
                    nursery.start_soon(send, name, attempt / 100)
            if len(paths) == 2:
                break
        shown = {path: await visitor.until(path, lambda f: f["report"]["status"] != "waiting") for path in paths}
        states = sorted(found["report"]["status"] for found in shown.values())
        assert states[-1] == "refused" and states[0] != "refused"
        lost = next(path for path in paths if shown[path]["report"]["status"] == "refused")
        page = await visitor.page(lost)
        assert "Refused – The ledger did not take it" in page.text and "duplicate_report" in page.text

    visit(script)


def test_every_page_of_every_role_and_its_json(visit):
    async def script(visitor, swarm):
        path = await visitor.submit("requester-01", "fire", *home(swarm))
        shown = await visitor.decided(path)
        block = shown["submitted"]["block"]
        for path in ("/", "/?role=worker&name=0", "/search?q=worker-0", "/search"):
            await visitor.page(path)
            await visitor.json(path)
        for name in ("requester-01", "worker-01", "mec-01", "miner-01", "facility-01"):
            rests = [
                "",
                "/reports",
                "/reports?status=closed",
                "/blocks",
                "/blocks?before=3&limit=2",
                f"/blocks/{block}",
            ]
            for rest in [*rests, "/blocks/0", f"/reports/{shown['report']['id']}"]:
                page = await visitor.page(visitor.path(name, rest))
                assert "12D3Koo" not in page.text, "who is known is called by name"
                await visitor.json(visitor.path(name, rest))
        for name, takes_over in (("worker-01", True), ("requester-01", True), ("miner-01", False), ("mec-01", False)):
            assert ("Take over" in (await visitor.page(visitor.path(name))).text) == takes_over
        csv = await (await visitor.client.get(visitor.path("mec-01", "/reports?format=csv"))).get_data(as_text=True)
        assert csv.splitlines()[1].startswith(shown["report"]["id"])

    visit(script)


def test_where_an_actor_is_appears_on_its_own_page_alone(visit):
    async def script(visitor, swarm):
        await trio.sleep(12)
        own = (await visitor.json(visitor.path("worker-01")))["actor"]["position"]
        assert own == pytest.approx(home(swarm, "worker-01"), abs=1e-4)
        for path in (
            "/",
            visitor.path("worker-02"),
            visitor.path("mec-01"),
            visitor.path("mec-01", "/reports"),
            "/metrics",
        ):
            text = await (await visitor.client.get(path + "?format=json")).get_data(as_text=True)
            assert str(own[0])[:7] not in text, path

    visit(script)


def test_what_nobody_knows_is_not_found(visit):
    async def script(visitor, swarm):
        await visitor.page("/actors/12D3KooWnobody", 404)
        for rest in ("/blocks/999999", f"/blocks/{'ab' * 32}", f"/reports/{'ab' * 32}", "/reports/xyz"):
            await visitor.page(visitor.path("worker-01", rest), 404)
            await visitor.page(visitor.path("mec-01", rest), 404)
        await visitor.page(f"/search?q={'ab' * 32}", 404)

    visit(script)
