"""A stored result equals the one that was measured, field by field, whatever its numbers are."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resbench.codec import Scalar, encoded
from resbench.gradients.result import FlowRecipe
from resbench.results import KINDS, load
from resbench.training.result import TrainingRecipe
from resbench.workers.workload import Setup

TEXT = st.one_of(st.text(max_size=8), st.sampled_from(["NaN", "\\NaN", "-Infinity"]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
FIXED = {
    str: TEXT,
    int: st.integers(),
    float: st.floats(),
    bool: st.booleans(),
    type(None): st.none(),
    Scalar: SCALARS,
    typing.Any: st.one_of(SCALARS, st.tuples(st.integers(), st.integers())),
    Path: TEXT.map(lambda name: Path("folder", name.replace("/", "").replace("\0", ""))),
    datetime: st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)),
    Setup: st.sampled_from([Setup(), Setup(batch=8, dtype="bf16", mode="training", runtime="compile", threads=2)]),
    TrainingRecipe: st.sampled_from(
        [TrainingRecipe(100), TrainingRecipe(64_000, 64, 0.05, warmup=400, augment=True, dtype="bf16")]
    ),
    FlowRecipe: st.sampled_from([FlowRecipe(), FlowRecipe((0,), 1, 8, 0.01, "cpu", True)]),
}


def values(kind):
    """Any value of a type, by the types that its fields state."""
    if kind in FIXED:
        return FIXED[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values, arguments))
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    if origin in (list, Sequence):
        return st.lists(values(arguments[0]), max_size=2).map(tuple if origin is Sequence else list)
    if origin in (dict, Mapping):
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else kind._fields
    return st.builds(kind, **{name: st.deferred(lambda name=name: values(hints[name])) for name in names})


def plain(value):
    """The value as nested tuples, in which numbers that are not finite are equal to themselves."""
    if dataclasses.is_dataclass(value):
        return (type(value), *((field.name, plain(getattr(value, field.name))) for field in dataclasses.fields(value)))
    if isinstance(value, Mapping):
        return tuple((key, plain(one)) for key, one in value.items())
    if isinstance(value, tuple | list):
        return (type(value), *map(plain, value))
    return (float, repr(value)) if isinstance(value, float) else (type(value), value)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_stored_result_equals_the_measured_one(kind, data, tmp_path):
    made = KINDS[kind].load()
    result = data.draw(values(made))
    path = tmp_path / "result.json"
    document = {"kind": kind, "schema": made.schema, **encoded(result, derived=False)}
    path.write_text(json.dumps(document, allow_nan=False))  # strict JSON
    assert plain(load(path)) == plain(result)
