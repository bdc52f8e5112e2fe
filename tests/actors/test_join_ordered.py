"""Who joins an ordered network: which roles it has, and what certificates are for."""

import pytest

from actors import certificate_file, keyfile
from actors.data_directory import DataDirectory
from actors.join import join, joined_scenario
from actors.keyfile import KeyFileError
from actors.membership import root_of, signer_of
from actors.scenario import Scenario, ScenarioError
from chain.ledgers.ordered.msp import check_certificate, issue
from chain.ledgers.ordered.policy import Principal
from tests.actors.ordered_chain import START_MS, OrderedChain


@pytest.fixture(scope="module")
def genesis():
    return OrderedChain().network.genesis


@pytest.fixture
def data(tmp_path, genesis):
    """A directory that knows the network, so that nobody need be asked."""
    with DataDirectory(tmp_path / "data") as directory:
        directory.keep_genesis(genesis)
    return tmp_path / "data"


def certified(path, key, role="peer", organisation="org2"):
    certificate = issue(
        root_of(4, organisation).key, organisation, role, keyfile.read(key).account, 77, START_MS, START_MS + 1_000
    )
    certificate_file.write(path, certificate)
    return certificate


def test_a_miner_has_no_place_there(data):
    with pytest.raises(
        ScenarioError, match=r"--role miner: .* has the ledger ordered, whose roles are requester, worker"
    ):
        join(["miner"], data, [])


def test_a_ledger_node_without_certificate_joins_without_a_signer(data):
    joining = join(["mec", "endorser"], data, [])
    mec, endorser = joining.members
    assert mec.place is not None and endorser.place is None
    assert signer_of(mec) is None and signer_of(endorser) is None
    scenario = joined_scenario(Scenario(), joining)
    assert scenario.ledger.kind == "ordered" and scenario.actors == 2


def test_a_certificate_is_for_one_of_the_keys(data, tmp_path, genesis):
    join(["mec", "endorser"], data, [])
    made = certified(tmp_path / "peer", data / "endorser-1.key")
    mec, endorser = join(["mec", "endorser"], data, [], certificates=[tmp_path / "peer"]).members
    assert endorser.certificate == made and mec.certificate is None
    account = signer_of(endorser).certificate.account
    assert check_certificate(genesis.ledger.channel, made, account, START_MS) == Principal("org2", "peer")
    with pytest.raises(ScenarioError, match=r"--certificate .*peer: of 12D3.*, our keys are 12D3"):
        join(["mec"], data, [], certificates=[tmp_path / "peer"])


def test_an_orderer_needs_a_certificate(data, tmp_path):
    with pytest.raises(ScenarioError, match="--role orderer: needs a --certificate"):
        join(["orderer"], data, [])
    made = certified(tmp_path / "orderer", data / "orderer-1.key", role="orderer")
    (member,) = join(["orderer"], data, [], certificates=[tmp_path / "orderer"]).members
    assert member.certificate == made


def test_certificate_files_are_read_back_or_refused(tmp_path):
    identity = keyfile.create(tmp_path / "key")
    made = certified(tmp_path / "good", tmp_path / "key")
    assert certificate_file.read(tmp_path / "good") == made and made.account == identity.account
    with pytest.raises(KeyFileError, match="exists already"):
        certificate_file.write(tmp_path / "good", made)
    with pytest.raises(KeyFileError, match="cannot write"):
        certificate_file.write(tmp_path / "no" / "where", made)
    with pytest.raises(KeyFileError, match="cannot read"):
        certificate_file.read(tmp_path / "missing")
    raw = (tmp_path / "good").read_bytes()
    for bad in (b"", raw[:-1], raw + b"\0", b"x" * 10_000):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(KeyFileError, match="is no certificate"):
            certificate_file.read(tmp_path / "bad")
