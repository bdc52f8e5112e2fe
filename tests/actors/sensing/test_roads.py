"""Road networks: what is read, what is refused and in which words, and the generated city."""

from collections import Counter
from random import Random

import pytest

from actors.scenario import ScenarioError
from actors.sensing.mobility import Point
from actors.sensing.roads import Road, RoadNetwork, Spot, grid_city, read_roads

NODES = "node,lat,lon\na,35.2,-80.8\nb,35.3,-80.8\nc,35.3,-80.7\n"
EDGES = "edge,from,to,length_m,name\n7,a,b,100.5,Main\n8,b,c,200,Side\n"


def written(folder, nodes=NODES, edges=EDGES):
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return folder


def plain(count, *pairs):
    """So many crossings, joined by roads of 10 metres."""
    return RoadNetwork("plain", (Point(0.0, 0.0),) * count, tuple(Road(a, b, 10.0) for a, b in pairs))


def test_a_folder_is_read(tmp_path):
    network = read_roads(written(tmp_path))

    assert network.crossings == (Point(35.2, -80.8), Point(35.3, -80.8), Point(35.3, -80.7))
    assert network.roads == (Road(0, 1, 100.5), Road(1, 2, 200.0))
    assert network.length_m == 300.5
    assert network.name == tmp_path.name
    assert network.roads_refused == 0


def test_roads_that_lead_nowhere_are_counted(tmp_path):
    network = read_roads(written(tmp_path, edges=EDGES + "9,c,c,40,Loop\n10,a,c,0,None\n"))

    assert len(network.roads) == 2
    assert network.roads_refused == 2


@pytest.mark.parametrize(
    "files,words",
    [
        ({"nodes": "node,lat\na,1\n"}, "nodes.csv has no column lon"),
        ({"nodes": NODES + "b,35.4,-80.8\n"}, "nodes.csv, line 5: node 'b' is there twice"),
        ({"nodes": NODES + "d,north,-80.8\n"}, "nodes.csv, line 5: lat is 'north'"),
        ({"nodes": NODES + "d,91,-80.8\n"}, "nodes.csv, line 5: lat is '91', allowed are -90 to 90"),
        ({"nodes": NODES + "d,35\n"}, "nodes.csv, line 5: columns are missing"),
        ({"edges": EDGES + "9,a,x,5,\n"}, "edges.csv, line 4: node 'x' is not in nodes.csv"),
        ({"edges": EDGES + "9,a,c,nan,\n"}, "edges.csv, line 4: length_m is 'nan'"),
        ({"edges": EDGES + "9,a,c,-1,\n"}, "edges.csv, line 4: length_m is '-1'"),
        ({"edges": "from,to,length_m\n"}, "edges.csv has no road"),
        ({"edges": ""}, "edges.csv has no column from"),
    ],
)
def test_bad_files__are_refused_by_line(tmp_path, files, words):
    with pytest.raises(ScenarioError) as refused:
        read_roads(written(tmp_path, **files))
    assert words in str(refused.value)


def test_a_missing_file__is_named(tmp_path):
    with pytest.raises(ScenarioError, match=r"cannot read .*nodes\.csv"):
        read_roads(tmp_path)


def test_the_largest_component_is_numbered_anew():
    # 0–3, 1–4–5 and 2 on its own.
    network = plain(6, (0, 3), (4, 1), (4, 5)).largest_component()

    assert len(network.crossings) == 3
    assert network.roads == (Road(1, 0, 10.0), Road(1, 2, 10.0))


def test_of_equal_components_the_first_counts():
    assert plain(4, (2, 3), (0, 1)).largest_component().roads == (Road(0, 1, 10.0),)


def test_spots_are_uniform_over_the_length():
    network = RoadNetwork("line", (Point(0, 0),) * 3, (Road(0, 1, 100.0), Road(1, 2, 300.0)))
    spots = network.spots(4_000, Random(1))

    assert all(0 <= spot.offset_m <= network.roads[spot.road].length_m for spot in spots)
    by_quarter = Counter(int(spot.offset_m // 100) + spot.road for spot in spots)
    # A thousand each; five standard deviations are 137.
    assert set(by_quarter) == {0, 1, 2, 3}
    assert all(abs(count - 1_000) < 137 for count in by_quarter.values())
    assert spots == network.spots(4_000, Random(1)) != network.spots(4_000, Random(2))


def test_without_roads_there_are_no_spots():
    with pytest.raises(ValueError, match="no road"):
        plain(2).spots(1, Random(1))


def test_a_perfect_grid():
    city = grid_city(Random(1), side=3, block_m=500, jitter=0, missing=0)

    assert len(city.crossings) == 9
    assert {(road.a, road.b) for road in city.roads} == {
        *((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8)),
        *((0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 8)),
    }
    assert all(road.length_m == pytest.approx(500, rel=1e-3) for road in city.roads)


def test_the_generated_city_follows_from_the_seed():
    city = grid_city(Random(1))

    assert city == grid_city(Random(1)) != grid_city(Random(2))
    whole = city.largest_component()
    assert len(whole.crossings) > 0.98 * len(city.crossings)
    assert all(road.length_m == whole.crossings[road.a].distance_m(whole.crossings[road.b]) for road in whole.roads)


def test_a_spot_is_where_the_length_says():
    assert plain(2, (0, 1)).spots(1, Random(3)) == [Spot(0, Random(3).random() * 10.0)]
