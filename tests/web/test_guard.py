"""Other sites, other names and forged forms are turned away, and nothing happens."""

import pytest

from tests.web.markup import Markup
from tests.web.population import FixedPopulation
from web.app import create_app
from web.guard import hosts_of


async def token_of(client, worker):
    return Markup(await (await client.get(f"/actors/{worker}")).get_data(as_text=True)).value("csrf_token")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "127.0.0.2", "[::1]", "xn--localhost", "localhost@x"]
)
async def test_other_names_are_turned_away(app, host):
    response = await app.test_client().get("/", headers={"Host": host})
    assert response.status_code == 400
    assert "spatial" not in await response.get_data(as_text=True), "the page tells nothing of the run"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1"])
async def test_our_names_are_answered(app, host):
    assert (await app.test_client().get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
async def test_a_wildcard_answers_to_addresses_but_not_to_names(population, wildcard):
    client = create_app(population, secret=b"s", allowed_hosts=[wildcard, "lab.example"]).test_client()
    for host in ("10.1.2.3:80", "[fe80::1]:80", "lab.example"):
        assert (await client.get("/", headers={"Host": host})).status_code == 200
    for host in ("evil.example", "10.1.2.3.evil.example"):
        assert (await client.get("/", headers={"Host": host})).status_code == 400


def test_hosts_of_an_address_to_listen_on():
    assert hosts_of("10.0.0.7") == ("10.0.0.7",)
    assert {"localhost", "127.0.0.1", "::1"} <= set(hosts_of("127.0.0.1"))
    assert {"localhost", "0.0.0.0"} <= set(hosts_of("0.0.0.0"))
    assert "::" in hosts_of("[::]")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
    ],
)
async def test_posts_of_other_sites_are_refused_even_with_a_token(app, population, worker, headers):
    client = app.test_client()
    token = await token_of(client, worker)
    response = await client.post(
        f"/actors/{worker}/attend", form={"csrf_token": token, "attended": "true"}, headers=headers
    )
    assert response.status_code == 403
    assert not population.actor(worker).summary.attended


@pytest.mark.parametrize("token", [None, "", "x", "ü", "A" * 32])
@pytest.mark.parametrize("path", ["/reports", "/reports/check", "/ballots/00", "/attend"])
async def test_a_form_needs_the_token_of_its_session(app, population, worker, path, token):
    client = app.test_client()
    await token_of(client, worker)
    fields = {"attended": "true", "choice": "confirm", "type": "pothole", "lat": "52.4", "lon": "13.4"}
    if token is not None:
        fields["csrf_token"] = token
    count = len(population.found)
    response = await client.post(f"/actors/{worker}{path}", form=fields)
    assert response.status_code == 403
    assert "reload the page" in await response.get_data(as_text=True)
    assert not population.actor(worker).summary.attended and not population.votes and len(population.found) == count


async def test_the_token_of_another_session_is_worth_nothing(app, worker):
    theirs = await token_of(app.test_client(), worker)
    client = app.test_client()
    assert theirs != await token_of(client, worker)
    response = await client.post(f"/actors/{worker}/attend", form={"csrf_token": theirs, "attended": "true"})
    assert response.status_code == 403


async def test_an_empty_token_does_not_match_an_empty_session(app, worker):
    response = await app.test_client().post(f"/actors/{worker}/attend", form={"csrf_token": "", "attended": "true"})
    assert response.status_code == 403


async def test_the_cookie_is_strict_and_named_by_app(app, population, worker):
    cookie = (await app.test_client().get(f"/actors/{worker}")).headers["Set-Cookie"]
    assert "SameSite=Strict" in cookie and "HttpOnly" in cookie
    other = create_app(FixedPopulation(), secret=b"another", allowed_hosts=["localhost"])
    theirs = (await other.test_client().get(f"/actors/{worker}")).headers["Set-Cookie"]
    assert cookie.partition("=")[0] != theirs.partition("=")[0]


@pytest.mark.parametrize("path", ["/", "/nothing", "/metrics", "/?format=json", "/?limit=x"])
async def test_every_answer_has_the_headers(app, path):
    headers = (await app.test_client().get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers


async def test_the_guard_also_answers_in_json_without_data(app):
    response = await app.test_client().get("/?format=json", headers={"Host": "evil.example"})
    assert response.status_code == 400 and set(await response.get_json()) == {"error", "detail"}
