"""Where steps and connections are drawn."""

from __future__ import annotations

import random
import re

import pytest

from workflows.drawing import HEIGHT, WIDTH, Box, Drawing, draw
from workflows.graph import Edge, Graph, Node


def graph(count: int, *edges: tuple[int, int] | tuple[int, int, str]) -> Graph:
    nodes = [Node(str(number), "default", {}) for number in range(count)]
    return Graph(nodes, [Edge(str(edge[0]), str(edge[1]), *map(str, edge[2:])) for edge in edges])


def places(drawing: Drawing) -> dict[str, Box]:
    return {box.node.id: box for box in drawing.boxes}


def overlap(one: Box, other: Box) -> bool:
    return abs(one.x - other.x) < WIDTH and abs(one.y - other.y) < HEIGHT


def test_a_chain_is_one_straight_line_from_left_to_right() -> None:
    drawing = draw(graph(3, (0, 1), (1, 2)))
    at = places(drawing)
    assert at["0"].x < at["1"].x < at["2"].x
    assert len({box.y for box in drawing.boxes}) == 1
    assert all("q" not in link.path for link in drawing.links)


def test_every_step_stands_right_of_what_it_runs_after() -> None:
    drawing = draw(graph(6, (0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 4), (2, 5)))
    at = places(drawing)
    assert all(at[edge.source].x + WIDTH < at[edge.target].x for link in drawing.links for edge in link.edges)


def test_parallel_branches_stand_above_each_other_and_their_join_between_them() -> None:
    at = places(draw(graph(4, (0, 1), (0, 2), (1, 3), (2, 3))))
    assert at["1"].x == at["2"].x
    assert at["1"].y < at["0"].y == at["3"].y < at["2"].y


def test_branches_do_not_cross_where_they_need_not() -> None:
    # Written crosswise: 1 leads to 4, 2 to 3.
    at = places(draw(graph(5, (0, 1), (0, 2), (1, 4), (2, 3))))
    assert (at["1"].y < at["2"].y) == (at["4"].y < at["3"].y)


def test_a_connection_that_passes_a_step_goes_around_it() -> None:
    drawing = draw(graph(3, (0, 1), (1, 2), (0, 2)))
    around = next(link for link in drawing.links if link.edges[0] == Edge("0", "2"))
    middle = places(drawing)["1"]
    heights = [float(y) for y in re.findall(r"V([\d.]+)", around.path)]
    assert heights and any(y < middle.y or y > middle.y + HEIGHT for y in heights)


@pytest.mark.parametrize("seed", range(5))
def test_no_two_steps_overlap_and_all_are_in_view(seed: int) -> None:
    chance = random.Random(seed)
    edges = [(chance.randrange(max(0, n - 5), n), n) for n in range(1, 40) for _ in range(2)]
    drawing = draw(graph(40, *edges))
    boxes = drawing.boxes
    assert not any(overlap(one, other) for n, one in enumerate(boxes) for other in boxes[:n])
    assert all(box.x >= 0 and box.y >= 0 for box in boxes)
    assert all(box.x + box.width <= drawing.width and box.y + box.height <= drawing.height for box in boxes)


def test_the_same_graph_is_always_drawn_the_same() -> None:
    edges = [(0, 1), (0, 2), (0, 3), (1, 4), (3, 4), (2, 5)]
    assert draw(graph(6, *edges)) == draw(graph(6, *edges))


def test_a_connection_says_by_which_way_it_leaves_unless_it_is_the_only_one() -> None:
    drawing = draw(graph(3, (0, 1, "true"), (0, 2)))
    assert [link.label for link in drawing.links] == ["true", ""]


def test_connections_between_the_same_two_steps_are_one_line() -> None:
    drawing = draw(graph(2, (0, 1, "yes"), (0, 1, "no")))
    assert [link.label for link in drawing.links] == ["yes, no"]


def test_steps_without_connections_stand_in_one_column() -> None:
    drawing = draw(graph(3))
    assert len({box.x for box in drawing.boxes}) == 1
    assert not drawing.links


def test_one_step_and_none_can_be_drawn() -> None:
    assert len(draw(graph(1)).boxes) == 1
    assert draw(graph(0)).boxes == ()


def test_a_long_chain_needs_no_recursion() -> None:
    drawing = draw(graph(2_000, *((n, n + 1) for n in range(1_999))))
    assert len(drawing.boxes) == 2_000
    assert len({box.y for box in drawing.boxes}) == 1


def test_a_graph_with_very_many_long_connections_is_still_drawn() -> None:
    edges = [(n, n + 1) for n in range(299)] + [(0, n) for n in range(2, 300)]
    assert len(draw(graph(300, *edges)).links) == len(edges)
