"""Networks are drawn in one order, however many processes make them, and each is made once."""

import subprocess
import sys
from itertools import chain, islice
from multiprocessing import active_children

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resbench.errors import OptionError
from resbench.sweeps.dataset import TYPES, _array
from resbench.sweeps.draws import draws
from resbench.sweeps.limits import Limit
from resbench.sweeps.space import Space

SMALL = b"""
[[networks]]
model = "resnet{depth}"
depth = { from = 8, to = 32, step = 6 }
width = { from = 1, to = 40 }
order = ["original", "full-preact"]

[[networks]]
model = "plain{depth}"
depth = { from = 7, to = 32 }
input = "3x8x8"
"""


def found(space, n, *, limits=(), seed=0, grid=False, processes=1):
    bounds = [Limit.read(text) for text in limits]
    return [*chain.from_iterable(draws(space, n, seed, bounds, grid, processes))]


@pytest.mark.parametrize("limits", [(), ("macs=100M:3G",)])
def test_networks_come_in_the_order_of_their_indexes(limits):
    space = Space.read("small", SMALL)
    fits = (lambda one: 1e8 <= one.cost().total.macs <= 3e9) if limits else (lambda one: True)
    naive = [(one.network.name, one.model, one.values) for one in islice(space.distinct(3, fits), 60)]
    assert len(naive) == 60
    for processes in (1, 2):
        drawn = found(space, 60, limits=limits, seed=3, processes=processes)
        assert [(one.name, one.model, one.values) for one in drawn] == naive


def test_a_process_that_dies_leaves_its_draws_to_this_one(monkeypatch):
    space = Space.read("small", SMALL)
    monkeypatch.setattr("resbench.sweeps.draws.CHUNK", 4)
    whole, drawn = found(space, 60), []
    for batch in draws(space, 60, 0, (), False, 2):
        drawn += batch
        for process in active_children():
            process.kill()
    assert drawn == whole


def test_all_there_are_come_and_a_draw_is_made_once(monkeypatch):
    space, built = Space.read("small", SMALL), []
    own = type(space.networks[0]).built
    monkeypatch.setattr(
        type(space.networks[0]), "built", lambda self, values: built.append(values) or own(self, values)
    )
    drawn = found(space, 1_000_000)
    made = len(built)
    assert {one.name for one in drawn} == {one.name for one in found(space, 1_000_000, grid=True)}
    assert made <= space.size < len(built), "values that are drawn again build nothing"


def test_what_is_forgotten_is_made_again_and_changes_nothing(monkeypatch):
    space = Space.read("small", SMALL)
    whole = [one.name for one in found(space, 1_000_000)]
    monkeypatch.setattr("resbench.sweeps.draws.CHUNK", 4)
    monkeypatch.setattr("resbench.sweeps.draws.MOST_KNOWN", 40)
    for processes in (1, 2):
        assert [one.name for one in found(space, 300, processes=processes)] == whole[:300]


def test_it_ends_where_no_others_come_and_says_where_there_are_none(monkeypatch):
    space = Space.read("small", SMALL)
    whole = [one.name for one in found(space, 1000, limits=["params=:300k"])]
    assert len(whole) == 11
    with pytest.raises(OptionError, match="gave no network within the limits in 10,000 draws; "):
        found(space, 1, limits=["params=:1k"])
    monkeypatch.setattr("resbench.sweeps.draws.MOST_DRAWS", 40)
    few = [one.name for one in found(space, 1000, limits=["params=:300k"])]
    assert 0 < len(few) < len(whole)
    assert few == whole[: len(few)]


@settings(deadline=None)
@given(
    st.sampled_from([*TYPES]).flatmap(
        lambda kind: st.tuples(
            st.just(kind),
            st.lists(
                st.none()
                | {
                    int: st.integers(-(2**63), 2**63 - 1),
                    float: st.floats(allow_nan=True),
                    str: st.text(st.characters(exclude_categories=["Cs"])),
                    bool: st.booleans(),
                }[kind]
            ),
        )
    )
)
def test_a_column_is_what_pyarrow_makes_of_it(column):
    kind, values = column
    ours, theirs = _array(values, kind), pyarrow.array(values, TYPES[kind])
    ours.validate(full=True)
    assert ours.null_count == theirs.null_count
    assert repr(ours.to_pylist()) == repr(theirs.to_pylist())


def test_neither_torch_nor_pandas_is_there_for_what_costs_nothing(tmp_path):
    code = f"import sys, resbench; resbench.sweep('residual', 300, folder={str(tmp_path / 'out')!r}); "
    code += "print({'torch', 'pandas', 'scipy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert told.stdout.strip() == "set()", told.stderr
