"""Peers and orderers are processes over TCP; they are killed at random under load and come back with their files."""

import pytest

from tests.actors.ordered.siege import Siege


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_to_three_kills(tmp_path, capsys):
    siege = Siege(tmp_path, kills=3, seed=1, pause_s=(0.2, 0.5))
    siege.run()
    with capsys.disabled():
        print("", *siege.figures(), sep="\n")


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_to_fifty_kills(tmp_path, capsys):
    siege = Siege(tmp_path, kills=50, seed=2)
    siege.run()
    with capsys.disabled():
        print("", *siege.figures(), sep="\n")
