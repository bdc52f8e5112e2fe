"""Ledger nodes that their operators had agree, and those that are caught at a lie, in virtual time."""

import msgspec
import pytest
import trio

from actors.messages import blocks_topic
from actors.peering import direct_peers
from actors.scenario import ScenarioError
from chain.codec import encode
from chain.sync import GetStatus, Status, decode_request, decode_response
from net.gossip.config import GossipConfig
from net.peer import PeerId, split_address
from tests.actors.simulated import play, small, until

NOBODY = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"


def test_operators_nodes_stay_linked_outside_meshes_and_hear_of_all_blocks():
    async def script(swarm):
        names = ("mec-01", "facility-01")
        nodes = [swarm.actors[name].node for name in names]
        ids = [node.identity.peer_id for node in nodes]
        topic = blocks_topic(swarm.world.topics)
        await until(lambda: ids[1] in nodes[0].overlay.peers())
        await trio.sleep(30)
        for one, other in ((0, 1), (1, 0)):
            router = nodes[one].overlay.router
            assert ids[other] in router.subscribers(topic)
            assert ids[other] not in router.mesh(topic)
            assert router.score(ids[other], trio.current_time()) == 0.0
        height = nodes[0].core.head.height
        assert height > 0
        await nodes[0].overlay.hang_up(ids[1])
        await until(lambda: ids[1] in nodes[0].overlay.peers(), patience_s=30)
        await until(lambda: nodes[1].core.head.height > height)
        assert swarm.world.errors == []

    play(small(network__direct=["mec-01", "facility-01", f"/ip4/203.0.113.7/tcp/4001/p2p/{NOBODY}"]), script)


def test_direct_peers_are_those_of_the_list_but_oneself():
    async def script(swarm):
        peer, address = split_address(f"/ip4/203.0.113.7/tcp/4001/p2p/{NOBODY}")
        ids = {name: actor.node.identity.peer_id for name, actor in swarm.actors.items()}
        found = {
            name: direct_peers(swarm.world, name, own) for name, own in ids.items() if name[:5] in ("mec-0", "miner")
        }
        assert found == {
            "mec-01": {ids["miner-02"]: None, peer: address},
            "miner-01": {peer: address},
            "miner-02": {ids["mec-01"]: None, peer: address},
        }
        assert direct_peers(swarm.world, "miner-01", peer) == {}
        for wrong in ("mec-07", "worker-01"):
            network = msgspec.structs.replace(swarm.world.scenario.network, direct=(wrong,))
            swarm.world.scenario = msgspec.structs.replace(swarm.world.scenario, network=network)
            with pytest.raises(ScenarioError, match=wrong):
                direct_peers(swarm.world, "mec-01", ids["mec-01"])

    play(small(network__direct=["mec-01", "miner-02", f"/ip4/203.0.113.7/tcp/4001/p2p/{NOBODY}"]), script)


@pytest.mark.parametrize("wrong", ["/ip4/203.0.113.7/tcp/4001", "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooW"])
def test_direct__reject_address_without_peer(wrong):
    with pytest.raises(ScenarioError, match=r"network\.direct\[0\]"):
        small(network__direct=[wrong])


def test_liar_in_sync_loses_its_place_in_the_mesh():
    """A facility that claims a thousand times the work: who asks it for the headers, catches it."""

    async def script(swarm):
        liar = swarm.actors["facility-01"].node
        others = [node for node in swarm.full_nodes if node is not liar]
        topic = blocks_topic(swarm.world.topics)
        honest = liar.core.answer

        def lie(peer: PeerId, body: bytes) -> bytes:
            answer = honest(peer, body)
            if not isinstance(decode_request(body), GetStatus):
                return answer
            status = decode_response(GetStatus(), answer)
            assert isinstance(status, Status)
            return encode(msgspec.structs.replace(status, work=1000 * status.work + 1000))

        await trio.sleep(5)
        assert any(liar.identity.peer_id in node.overlay.router.mesh(topic) for node in others)
        liar.core.answer = lie
        caught = []
        swarm.world.journal.listen(
            lambda _t, actor, kind, fields: caught.append((actor, fields)) if kind == "penalised" else None
        )
        await until(lambda: {name for name, _ in caught} == {node.name for node in others}, patience_s=300)
        await trio.sleep(2)
        assert all("false_status" in fields["reason"] for _, fields in caught)
        assert {fields["peer"] for _, fields in caught} == {str(liar.identity.peer_id)[-8:]}
        for node in others:
            scores = node.overlay.scores()
            assert scores[liar.identity.peer_id] < GossipConfig().gossip_threshold
            assert all(score >= 0 for peer, score in scores.items() if peer != liar.identity.peer_id)
            assert liar.identity.peer_id not in node.overlay.router.mesh(topic)

    play(small(), script)
