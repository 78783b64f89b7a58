"""Lines of equal loss lie where the loss is what they say, at round numbers, and avoid what is not finite."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

import resbench
from resbench.landscapes.chart import contours
from resbench.landscapes.grid import coordinates, height
from resbench.landscapes.levels import MOST, levels, lines


@pytest.mark.parametrize("points, span", [(25, 1.0), (51, 0.3)])
def test_lines_lie_where_the_loss_is_theirs(points, span):
    axis = np.array(coordinates(span, points))
    a, b = np.meshgrid(axis, axis)
    plane = 0.01 + (a / span) ** 2 + 2 * (b / span - 0.1) ** 2
    at = levels(plane.min(), plane.max())
    found = lines(axis, plane, at)
    assert {line.loss for line in found} == {*at}
    between = RegularGridInterpolator((axis, axis), height(plane))
    for line in found:
        places = np.array(line.points)
        assert np.log10(line.loss) == pytest.approx(between(places[:, ::-1]), abs=2e-3), "through the grid, rows first"
        exact = 0.01 + (places[:, 0] / span) ** 2 + 2 * (places[:, 1] / span - 0.1) ** 2
        if line.loss >= 0.1:
            assert exact == pytest.approx(np.full(len(exact), line.loss), rel=0.05)


def test_levels_are_round_and_few():
    draw = np.random.default_rng(0)
    for _ in range(300):
        low = 10 ** draw.uniform(-6, 3)
        high = low * 10 ** (10 ** draw.uniform(-3, 1))
        found = levels(low, high)
        assert 3 <= len(found) <= MOST
        assert all(low < loss < high and float(f"{loss:.6g}") == loss for loss in found)
        assert found == sorted({*found})
    assert levels(2.0, 2.0) == []
    assert levels(0.0, 1.0)[0] >= 1e-12


def test_no_line_runs_through_what_is_not_finite():
    axis = np.array(coordinates(1.0, 9))
    a, b = np.meshgrid(axis, axis)
    plane = 0.1 + a**2 + b**2
    plane[6, 4] = np.nan
    for line in lines(axis, plane, [0.2, 0.35, 0.5]):
        for x, y in line.points:
            assert max(abs(x - axis[4]), abs(y - axis[6])) > 0.2499
    assert lines(axis, np.full((9, 9), np.inf), [1.0]) == []


def test_the_chart_from_above_has_them_with_their_loss(small):
    spec = contours(small).chart.to_dict()
    texts = [row["loss"] for values in spec["datasets"].values() for row in values if {*row} == {"a", "b", "loss"}]
    low, high = small.surfaces[0].plane.min(), small.surfaces[0].plane.max()
    assert {*map(float, texts)} <= {*levels(low, high)}
    assert texts


@pytest.fixture
def small():
    from test_planes import batches, network

    return resbench.landscape(network(), batches=batches(), points=9)
