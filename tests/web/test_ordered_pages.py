"""What pages show of an ordered ledger, and what they no longer speak of."""

import pytest

from tests.web.ordered_population import OrderedPopulation
from tests.web.test_pages import data, html


@pytest.fixture
def population():
    return OrderedPopulation()


@pytest.fixture
def client(app):
    return app.test_client()


async def test_no_page_speaks_of_work_or_depth(client, worker):
    for path in ("/", f"/actors/{worker}", f"/actors/{worker}/blocks", f"/actors/{worker}/blocks/39", "/channel"):
        text = (await html(client, path)).text
        for word in ("Difficulty", "State root", "Nonce", "nonce", "final after", "blocks stand on it"):
            assert word not in text, (path, word)
        assert "final when committed" in text


async def test_blocks_name_their_orderer_and_who_sealed_them(client, worker):
    assert "Orderer" in (await html(client, f"/actors/{worker}/blocks")).text
    page = await html(client, f"/actors/{worker}/blocks/39")
    assert "orderer-01 (org1.orderer)" in page.text
    answer = await data(client, f"/actors/{worker}/blocks/39?format=json")
    assert answer["block"]["seals"][0]["organisation"] == "org1"


async def test_transactions_tell_their_code_and_who_endorsed_them(client, worker):
    page = await html(client, f"/actors/{worker}/blocks/39")
    for code in ("VALID", "MVCC_READ_CONFLICT", "ENDORSEMENT_POLICY_FAILURE"):
        assert code in page.text
    assert "endorser-01 (org1.peer) , endorser-02 (org2.peer)" in page.text
    waiting = await html(client, f"/actors/{worker}/blocks")
    assert "endorsed by" not in waiting.text


async def test_the_channel_is_a_page(client, population):
    page = await html(client, "/channel")
    for words in ("2 organisations, 2 orderers (raft), led by orderer-02", "AND('org1.peer', 'org2.peer')", "org2 9"):
        assert words in page.text
    assert "1 041" in page.text.replace("\u202f", " ").replace("\u2009", " ")
    answer = await data(client, "/channel?format=json")
    assert answer["channel"]["leader"] == population.by_name("orderer-02")


async def test_an_actor_shows_its_certificate(client, population):
    page = await html(client, f"/actors/{population.by_name('endorser-01')}")
    assert "Member of org1 as peer, by certificate 17" in page.text
    without = await html(client, f"/actors/{population.by_name('endorser-02')}")
    assert "It has no certificate" in without.text
    phone = await html(client, f"/actors/{population.by_name('worker-01')}")
    assert "certificate" not in phone.text
