"""What holds of every architecture: expressions drawn from the whole algebra, fitting and misfitting."""

import keyword
from dataclasses import fields
from itertools import pairwise
from math import gcd, prod
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from variants import CATALOG

from resbench import arch
from resbench.arch import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    Add,
    Aux,
    AvgPool2d,
    BatchNorm2d,
    ChannelShuffle,
    ChannelSlice,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    DropPath,
    Flatten,
    GlobalAvgPool,
    GlobalResponseNorm,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    Highway,
    Identity,
    Layer,
    LayerNorm2d,
    LayerScale,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Mul,
    PadChannels,
    PReLU,
    ReLU,
    ReLU6,
    SamePad,
    Scale,
    Seq,
    Sigmoid,
    SiLU,
    SplitSoftmax,
    Tanh,
    catalog,
    cost,
    levels,
    stack,
)
from resbench.arch.algebra import walk
from resbench.arch.catalog import architecture, entries, options
from resbench.errors import ArchitectureError, ResbenchError, ShapeError


def examples(count):
    """Settings without a clock: a network takes tens of choices to draw, and the machine may be busy."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


NUMBERS = ("params", "macs", "elementwise", "activations")


def numbers(report):
    return {name: getattr(report, name) for name in NUMBERS}


def read_back(node):
    """The value of its own repr, with nothing in scope but ``resbench.arch``."""
    return eval(repr(node), dict(vars(arch)))


# -- networks that fit, by construction: the shape is tracked by formulas of this file's own ----------------


class Net(NamedTuple):
    node: arch.Node
    input: tuple[int, ...]
    output: tuple[int, ...]


BOOLS = st.booleans()
SMALL = st.integers(1, 3)
CHANNELS = st.sampled_from([1, 2, 3, 4, 6, 8])


def positions(size, kernel, stride, padding, dilation=1, ceil=False):
    """How many windows there are: counted one by one, not computed."""
    span, room = dilation * (kernel - 1) + 1, size + 2 * padding
    starts = range(0, room + 1, stride)
    if not ceil:
        return sum(start + span <= room for start in starts)
    return sum((start == 0 or start - stride + span < room) and start < size + padding for start in starts)


def spelt(draw, pair):
    """(3, 3) is also written 3."""
    return pair[0] if pair[0] == pair[1] and draw(BOOLS) else pair


def divisor(draw, *channels):
    common = gcd(*channels)
    return draw(st.sampled_from([n for n in range(1, common + 1) if common % n == 0]))


def any_conv(draw, shape):
    """Grouped, strided, dilated, rectangular, padded as far as it must be to fit."""
    channels, *sides = shape
    out = draw(CHANNELS)
    kernel, stride, dilation, padding, made = [], [], [], [], []
    for size in sides:
        k, s, d = draw(SMALL), draw(SMALL), draw(st.integers(1, 2))
        span = d * (k - 1) + 1
        p = max(draw(st.integers(0, 2)), (span - size + 1) // 2)
        for field, value in zip((kernel, stride, dilation, padding), (k, s, d, p), strict=True):
            field.append(value)
        made.append(positions(size, k, s, p, d))
    pairs = [spelt(draw, tuple(field)) for field in (kernel, stride, padding)]
    bias_init = draw(st.sampled_from([0.0, -6, 0.5]))
    groups = divisor(draw, channels, out)
    return Conv2d(channels, out, *pairs, groups, tuple(dilation), draw(BOOLS), bias_init), (out, *made)


def same_conv(draw, channels, out, stride=1):
    """Odd kernel, centred: gives (size - 1) // stride + 1, whatever the size."""
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (5, 5), (1, 3), (5, 1)]))
    dilation = draw(st.integers(1, 2))
    padding = tuple(dilation * (k - 1) // 2 for k in kernel)
    groups = divisor(draw, channels, out)
    return Conv2d(channels, out, kernel, stride, padding, groups, dilation, draw(BOOLS))


def strided(shape, out, stride):
    return (out, *((side - 1) // stride + 1 for side in shape[1:]))


def pool(draw, shape):
    kernel, stride, padding, made = [], [], [], []
    ceil, apart = draw(BOOLS), draw(BOOLS)
    for size in shape[1:]:
        k = min(draw(SMALL), size)
        s, p = draw(SMALL) if apart else k, draw(st.integers(0, k // 2))
        for field, value in zip((kernel, stride, padding), (k, s, p), strict=True):
            field.append(value)
        made.append(positions(size, k, s, p, ceil=ceil))
    kind = draw(st.sampled_from([MaxPool2d, AvgPool2d, lambda *window: AvgPool2d(*window, count_include_pad=False)]))
    steps = spelt(draw, tuple(stride)) if apart else 0
    return kind(spelt(draw, tuple(kernel)), steps, spelt(draw, tuple(padding)), ceil), (shape[0], *made)


def pad_channels(draw, shape):
    out, stride = shape[0] + draw(st.integers(0, 3)), draw(SMALL)
    return PadChannels(shape[0], out, stride), strided(shape, out, stride)


def transposed(draw, shape):
    """A kernel of 3 without padding always fits."""
    stride, out = draw(SMALL), draw(CHANNELS)
    more = draw(st.integers(0, stride - 1))
    groups = divisor(draw, shape[0], out)
    layer = ConvTranspose2d(shape[0], out, 3, stride, 1, more, groups, draw(BOOLS))
    return layer, (out, *((side - 1) * stride + 1 + more for side in shape[1:]))


def channel_slice(draw, shape):
    start = draw(st.integers(0, shape[0] - 1))
    stop = draw(st.integers(start + 1, shape[0]))
    return ChannelSlice(start, stop), (stop - start, *shape[1:])


def adaptive(draw, shape):
    size = draw(st.tuples(SMALL, SMALL))
    return AdaptiveAvgPool2d(spelt(draw, size)), (shape[0], *size)


ACTIVATIONS = [
    Sigmoid(),
    ReLU6(),
    LeakyReLU(0.2),
    ELU(),
    GELU(),
    GELU("tanh"),
    SiLU(),
    Hardswish(),
    Hardsigmoid(),
    Tanh(),
]


def unchanged(draw, shape):
    factor = draw(st.sampled_from([0.5, 1, -1, 2.0]))
    layers = [
        BatchNorm2d(shape[0], draw(st.sampled_from([1e-5, 1e-3])), draw(st.sampled_from([0.1, 0.01, 0]))),
        ReLU(),
        draw(st.sampled_from(ACTIVATIONS)),
        Identity(),
        Scale(factor, draw(st.sampled_from([0, 1, -0.5]))),
        LocalResponseNorm(draw(SMALL)),
        LayerNorm2d(shape[0]),
        # torch refuses groups of one value
        LayerNorm2d(shape[0]) if prod(shape) == shape[0] else GroupNorm(divisor(draw, shape[0]), shape[0]),
        LayerScale(shape[0], 0.5),
        # two groups of one channel change no place: torch gives the same storage on, as if there were no layer
        draw(st.sampled_from([ChannelShuffle, SplitSoftmax][shape[0] == 2 :]))(2) if shape[0] % 2 == 0 else ReLU(),
        DropPath(draw(st.sampled_from([0, 0.5]))),
        PReLU(draw(st.sampled_from([1, shape[0]]))),
        Dropout(draw(st.sampled_from([0, 0.5, 0.9]))),
    ]
    return draw(st.sampled_from(layers)), shape


def residual(draw, shape):
    """conv - BN - ReLU - conv beside identity, padding or projection, summed or gated."""
    channels = shape[0]
    changes = draw(BOOLS)
    out, stride = (draw(CHANNELS), draw(SMALL)) if changes else (channels, 1)
    width = draw(CHANNELS)
    branch = Seq(
        conv1=same_conv(draw, channels, width, stride),
        bn1=BatchNorm2d(width),
        relu1=ReLU(),
        conv2=same_conv(draw, width, out),
    )
    shortcuts = [Seq(conv=Conv2d(channels, out, 1, stride, bias=False), bn=BatchNorm2d(out))]
    if out >= channels:
        shortcuts.append(Seq(pad=PadChannels(channels, out, stride), dropout=Dropout()))
    if not changes:
        shortcuts.append(Identity())
    shortcut = draw(st.sampled_from(shortcuts))
    shortcut = shortcut if isinstance(shortcut, Identity) else Seq(shortcut=shortcut)
    gate = Seq(gate=Seq(conv=Conv2d(channels, out, 1, stride, bias_init=-6), sigmoid=Sigmoid()))
    bodies = [Add(branch, shortcut), Highway(gate, branch, shortcut), Add(branch=branch, shortcut=Seq(h=shortcut))]
    return Seq(draw(st.sampled_from(bodies)), relu2=ReLU()), strided(shape, out, stride)


def parallel(draw, shape):
    """Inception: convolutions and poolings of one stride, side by side."""
    stride, branches, out = draw(st.integers(1, 2)), [], 0
    for _ in range(draw(st.integers(2, 4))):
        width = draw(CHANNELS)
        reduce = Seq(reduce=Conv2d(shape[0], width, 1), relu=ReLU())
        match draw(st.integers(0, 2)):
            case 0:
                branch, wide = same_conv(draw, shape[0], width, stride), width
            case 1:
                branch, wide = stack(reduce, same_conv(draw, width, width, stride)), width
            case _:
                branch, wide = MaxPool2d(3, stride, 1), shape[0]
        branches.append(branch)
        out += wide
    named = {f"path{i}": branch for i, branch in enumerate(branches)}
    return Concat(**named), strided(shape, out, stride)


def gated(draw, shape):
    """x or conv(x), times one number a channel or a whole map."""
    value = draw(st.sampled_from([Identity(), Conv2d(shape[0], shape[0], 1)]))
    head = GlobalAvgPool() if draw(BOOLS) else Identity()
    gate = Seq(squeeze=head, fc=Conv2d(shape[0], shape[0], 1), sigmoid=Sigmoid())
    return Mul(value, Seq(gate=gate)), shape


def tapped(draw, shape):
    head = Seq(pool=GlobalAvgPool(), flatten=Flatten(), fc=Linear(shape[0], draw(CHANNELS)))
    return Aux(head=head), shape


LEAVES = [any_conv, unchanged, pool, unchanged, pad_channels, unchanged, channel_slice, transposed]
BLOCKS = [residual, parallel, gated, "level", residual, tapped, "level"]
LEAF, PART = st.sampled_from(LEAVES), st.sampled_from([*LEAVES, *BLOCKS])
COUNT = st.sampled_from([2, 3, 4, 1, 0])


def level(draw, shape, depth):
    """Some parts after one another: with names, with numbers, or in place."""
    parts = []
    for _ in range(draw(COUNT)):
        kind = draw(PART if depth else LEAF)
        part, shape = level(draw, shape, depth - 1) if kind == "level" else kind(draw, shape)
        parts.append(part)
    match draw(st.integers(0, 2)):
        case 0:
            return stack(*parts), shape
        case 1 if all(isinstance(part, Layer) for part in parts):
            return Seq(*parts), shape
        case _:
            return Seq(**dict(zip("abcd", parts, strict=False))), shape


@st.composite
def networks(draw, classifier=True):
    """A network for maps of any size from the drawn one on, perhaps with a classifier."""
    shape = (draw(CHANNELS), draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    node, out = level(draw, shape, 2)
    if classifier and draw(BOOLS):
        pooled, out = adaptive(draw, out)
        features, classes = out[0] * out[1] * out[2], draw(CHANNELS)
        node = Seq(body=node, avgpool=pooled, flatten=Flatten(), fc=Linear(features, classes, draw(BOOLS)))
        out = (classes,)
    return Net(node, shape, out)


def hold_main_properties(net, batch):
    """Counts are whole and not negative; groups sum to the layers; a batch scales the work exactly."""
    one, many = cost(net.node, net.input), cost(net.node, net.input, batch=batch)
    for row in one.layers:
        assert all(type(value) is int and value >= 0 for value in row[3:11])
        assert row.output[0] == 1
        assert row.name
    assert len({row.name for row in one.layers}) == len(one.layers)
    assert (one.per("layer"), one.per("model")) == (one.layers, (one.total,))
    for group, where in (("stage", levels.stages), ("block", levels.blocks)):
        sums, lies_in = {}, where([row.name for row in one.layers])
        for row in one.layers:
            key = lies_in(row.name)
            assert row.name == key or row.name.startswith(f"{key}.")
            sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 8), row[3:11], strict=True)]
        assert {row.name: list(row[3:11]) for row in one.per(group)} == sums
        for number in (*NUMBERS, "flops", "param_bytes", "activation_bytes"):
            assert sum(getattr(row, number) for row in one.per(group)) == getattr(one.total, number), (group, number)
    for row, scaled in zip(one.layers, many.layers, strict=True):
        assert scaled.output == (batch, *row.output[1:])
        assert scaled[3:7] == (row.params, *(batch * value for value in row[4:7]))
        assert (scaled[7:10], scaled.activation_bytes) == (row[7:10], batch * row.activation_bytes)
    assert cost(Seq(net=net.node, end=ReLU()), net.input).layers[-1].output == (1, *net.output)


@examples(300)
@given(networks(), st.integers(2, 9))
def test_counts_are_whole_sum_up_and_scale_with_the_batch(net, batch):
    hold_main_properties(net, batch)


@pytest.mark.slow
@examples(10_000)
@given(networks(), st.integers(2, 9))
def test_counts_are_whole_sum_up_and_scale_with_the_batch_10000_times(net, batch):
    hold_main_properties(net, batch)
    assert read_back(net.node) == net.node
    assert str(net.node)


@st.composite
def pairs(draw):
    """Two networks of which the second takes what the first gives."""
    first = draw(networks(classifier=False))
    node, out = level(draw, first.output, 1)
    return first, Net(node, first.output, out)


@examples(120)
@given(pairs())
def test_a_sequence_costs_the_sum_of_its_parts(two):
    first, second = two
    a, b = cost(first.node, first.input), cost(second.node, second.input)
    both = cost(Seq(a=first.node, b=second.node), first.input)
    for name in NUMBERS:
        assert getattr(both, name) == getattr(a, name) + getattr(b, name), name
    for whole, part in zip(both.layers, (*a.layers, *b.layers), strict=True):
        assert whole[1:-4] == part[1:-4]  # its edges are those of its own network
        assert whole.name.endswith(f".{part.name}") or whole.name in "ab"  # a lone layer is called as its level
    assert cost(Seq(Seq(a=first.node), b=second.node), first.input) == both  # a Seq in place adds no level


@examples(100)
@given(pairs())
def test_an_auxiliary_head_costs_its_parameters_and_no_work(two):
    body, head = two
    alone, tapped = cost(body.node, body.input), cost(Seq(body=body.node, tap=Aux(head=head.node)), body.input)
    extra = cost(head.node, head.input).params
    assert numbers(tapped) == {**numbers(alone), "params": alone.params + extra}


@examples(120)
@given(networks(), st.integers(0, 9), st.integers(0, 9))
def test_parameters_do_not_depend_on_the_size_of_the_input(net, higher, wider):
    channels, height, width = net.input
    small, large = cost(net.node, net.input), cost(net.node, (channels, height + higher, width + wider))
    assert [row.params for row in large.layers] == [row.params for row in small.layers]
    assert large.macs >= small.macs
    assert large.activations >= small.activations


@examples(150)
@given(networks())
def test_an_expression_is_the_value_of_its_repr(net):
    again = read_back(net.node)
    assert again == net.node
    assert hash(again) == hash(net.node)
    assert repr(again) == repr(net.node)
    assert str(net.node) == str(again)
    assert cost(again, net.input) == cost(net.node, net.input)


@examples(100)
@given(networks(), networks())
def test_values_that_differ_print_differently(one, other):
    assert (one.node == other.node) == (repr(one.node) == repr(other.node))


@examples(60)
@given(networks(), st.integers(1, 3))
def test_the_tracer_counts_what_the_fold_counts(net, batch):
    from resbench.costs.trace import trace
    from resbench.networks.build import build

    try:
        module = build(net.node, device="meta")
    except ArchitectureError as error:
        assert "auxiliary" in str(error)  # a head below the top level has no module
        return
    folded, traced = cost(net.node, net.input, batch=batch), trace(module, (batch, *net.input))
    assert (traced.params, traced.macs, traced.elementwise) == (folded.params, folded.macs, folded.elementwise)
    rows = {row.name: row for row in with_names(traced.layers)}
    # a trace knows no positions behind a transposed convolution, and where channels are cut off it may not
    unknown = {"ConvTranspose2d", "ChannelSlice"} & {type(part).__name__ for _, part in walk(net.node)}
    wide = min(net.input[1:]) > 1  # maps of one position tell no stride, and nothing behind them does
    for row in with_names(folded.layers):
        theirs = rows[row.name]
        unkept = row.type == "Highway" and len(row.reads) < 3  # what does not reach it, it need not keep
        copied = row.type == "GroupNorm" and not theirs.keeps  # of maps that lie apart it makes a copy, and keeps it
        own = -4 if unkept or copied else -1
        assert theirs[3:own] == row[3:own], row.name
        wide = wide and min(row.output[2:], default=1) > 1
        if wide and not (unknown and any(window is None for _, (window, _) in theirs.sees)):
            assert theirs.sees == row.sees, row.name


def with_names(layers):
    """The edges by name: a level that gives on what comes has a row in the trace alone."""
    for row in layers:
        edges = {what: [layers[place].name for place in getattr(row, what)] for what in ("reads", "keeps")}
        sees = [(layers[one.place].name if one.place >= 0 else "", one[1:]) for one in row.sees]
        yield row._replace(**edges, sees=sees)


# -- misfits -------------------------------------------------------------------------------------------------

JUNK = st.one_of(
    st.integers(-3, 9),
    st.integers(),
    st.booleans(),
    st.floats(),
    st.text(max_size=2),
    st.none(),
    st.tuples(st.integers(-1, 4), st.integers(-1, 4)),
    st.lists(st.integers(-1, 4), max_size=3),
    st.tuples(st.integers(1, 3)),
)

SOUND = {
    AdaptiveAvgPool2d: {"size": 2},
    AvgPool2d: {"kernel": 2},
    BatchNorm2d: {"channels": 4},
    Conv2d: {"in_channels": 4, "out_channels": 8, "kernel": 3},
    ChannelShuffle: {"groups": 2},
    ChannelSlice: {"start": 1, "stop": 3},
    ConvTranspose2d: {"in_channels": 4, "out_channels": 8, "kernel": 3},
    DropPath: {},
    Dropout: {},
    ELU: {},
    Flatten: {},
    GELU: {},
    GlobalResponseNorm: {"channels": 4},
    GroupNorm: {"groups": 2, "channels": 4},
    Hardsigmoid: {},
    Hardswish: {},
    Identity: {},
    LayerNorm2d: {"channels": 4},
    LayerScale: {"channels": 4},
    LeakyReLU: {},
    Linear: {"in_features": 4, "out_features": 2},
    LocalResponseNorm: {},
    MaxPool2d: {"kernel": 2},
    PReLU: {},
    PadChannels: {"in_channels": 4, "out_channels": 6},
    ReLU: {},
    ReLU6: {},
    SamePad: {"kernel": 3, "stride": 2},
    Scale: {"factor": 2},
    SiLU: {},
    Sigmoid: {},
    SplitSoftmax: {"splits": 2},
    Tanh: {},
}


def test_every_layer_is_here():
    public = {getattr(arch, name) for name in arch.__all__}
    layers = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Layer) and kind is not Layer}
    assert set(SOUND) == layers


@pytest.mark.parametrize("kind", [kind for kind in SOUND if fields(kind)], ids=lambda kind: kind.__name__)
@examples(60)
@given(data=st.data())
def test_a_layer_refuses_a_value_or_counts_with_it(kind, data):
    names = [field.name for field in fields(kind)]
    wrong = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True), label="wrong")
    values = {**SOUND[kind], **{name: data.draw(JUNK, label=name) for name in wrong}}
    try:
        layer = kind(**values)
    except ResbenchError as error:
        event("refused")
        assert type(error) is ArchitectureError
        assert str(error).startswith(kind.__name__)
        return
    assert read_back(layer) == layer
    assert hash(read_back(layer)) == hash(layer)
    assert type(layer.params) is int
    assert isinstance(layer.brief, str)
    try:
        report = cost(layer, (4,) if kind is Linear else (4, 7, 9))
    except ShapeError:
        event("does not fit")
        return
    event("counted")
    assert all(type(value) is int and value >= 0 for value in numbers(report).values())


ODD_NAMES = st.sampled_from([*keyword.kwlist, "self", "ﬁ", "µ", "a b", "a.b", "", "0", "1", "é", "relu"])


@pytest.mark.parametrize("kind", [Seq, Add, Mul, Concat, Highway, Aux], ids=lambda kind: kind.__name__)
@examples(60)
@given(data=st.data())
def test_a_combinator_refuses_its_parts_or_is_the_value_of_its_repr(kind, data):
    part = st.one_of(st.sampled_from([ReLU(), Identity(), Conv2d(2, 2, 1), Seq(a=ReLU()), Add(ReLU(), Identity())]))
    positional = data.draw(st.lists(part | JUNK if data.draw(BOOLS) else part, max_size=3))
    named = data.draw(st.dictionaries(ODD_NAMES | st.text(max_size=3), part, max_size=2))
    try:
        node = kind(*positional, **named)
    except ArchitectureError as error:
        event("refused")
        assert str(error).startswith(kind.__name__)
        return
    event("made")
    assert read_back(node) == node
    assert str(node)
    assert numbers(cost(node, (2, 3, 3))) == numbers(cost(read_back(node), (2, 3, 3)))


@examples(100)
@given(networks(), st.lists(st.integers(-1, 5) | JUNK, max_size=5) | JUNK)
def test_an_input_fits_or_a_resbench_error_says_why(net, given_input):
    try:
        report = cost(net.node, given_input)
    except ResbenchError as error:
        event("refused")
        assert str(error)
    else:
        event("counted")
        assert all(value >= 0 for value in numbers(report).values())


@pytest.mark.parametrize("value", [None, 5, "resnet50", Conv2d, (ReLU(),)])
def test_what_is_no_expression_has_no_cost(value):
    with pytest.raises(ArchitectureError, match="expected layers or combinators, received"):
        cost(value, (3, 32, 32))


NAMES = st.sampled_from(["stem", "layer1", "0", "1", "branch5x5", "conv"])


@examples(100)
@given(
    networks(classifier=False), st.lists(NAMES, min_size=1, max_size=4), st.sampled_from(["", "net"]), st.integers(0, 3)
)
def test_a_misfit_is_found_where_it_stands(net, path, model, kind):
    channels = net.output[0]
    misfit = [
        Conv2d(channels + 1, 2, 1),
        BatchNorm2d(channels + 1),
        Linear(channels, 2),
        Add(branch=Conv2d(channels, channels + 1, 1), shortcut=Identity()),
    ][kind]
    node = misfit
    for name in reversed(path):
        node = Seq(**{name: node})
    with pytest.raises(ShapeError) as caught:
        cost(Seq(before=net.node, after=node), net.input, model=model)
    assert caught.value.path == ".".join([*([model] if model else []), "after", *path])
    assert str(caught.value) == f"{caught.value.path}: {caught.value.reason}"


LOOSE = [
    Conv2d(2, 4, 3),
    Conv2d(4, 2, (1, 5), 2),
    BatchNorm2d(4),
    MaxPool2d(3, 2),
    AvgPool2d(2),
    GlobalAvgPool(),
    PadChannels(2, 4, 2),
    SamePad(3, 2),
    Flatten(),
    Linear(16, 4),
    ReLU(),
    Identity(),
    LocalResponseNorm(),
]
EXPRESSIONS = st.recursive(
    st.sampled_from(LOOSE),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: stack(*parts)),
        st.builds(lambda a, b: Add(a=a, b=b), inner, inner),
        st.builds(lambda a, b: Concat(a=a, b=b), inner, inner),
        st.builds(lambda a, b: Mul(a=a, b=b), inner, inner),
        st.builds(lambda a, b, c: Highway(a=a, b=b, c=c), inner, inner, inner),
        st.builds(lambda a: Aux(a=a), inner),
    ),
    max_leaves=5,
)


@examples(150)
@given(EXPRESSIONS, st.sampled_from([(2, 8, 8), (4, 5, 3), (16,), (4, 1, 1), (2, 3, 3, 3)]))
def test_parts_thrown_together_count_or_say_where_they_do_not_fit(node, size):
    assert read_back(node) == node
    try:
        report = cost(node, size, model="thrown")
    except ShapeError as error:
        event("does not fit")
        assert error.path.startswith("thrown")
        assert error.reason
    else:
        event("fits")
        assert all(value >= 0 for value in numbers(report).values())


# -- names and options ---------------------------------------------------------------------------------------

WHOLE = {  # numbers that mostly go together; other options get 1 to 8
    "width": [1, 2],
    "groups": [1, 2, 32],
    "group_width": [4, 8, 64],
    "se": [0, 1, 16],
    "gate_bias": [-7, -6, 0, 2],
    "classes": [1, 10, 1000],
}


@st.composite
def spelled(draw, entry):
    """The name of an entry, a depth in place of its pattern, and options in any order."""
    name = entry.name
    if "{" in name:
        name = draw(st.sampled_from(["", "cifar_"])) + name.replace("{6n+2}", str(6 * draw(SMALL) + 2))
    given_options = []
    for option in options(entry):
        if draw(st.integers(0, 2)) == 0:
            value = st.sampled_from(option.values or WHOLE.get(option.name, list(range(1, 9))))
            given_options.append(f"{option.name}={draw(value)}")
    if draw(BOOLS):
        given_options.append("input=" + "x".join(str(draw(st.integers(1, 300))) for _ in range(3)))
    return ",".join([name, *draw(st.permutations(given_options))])


@pytest.mark.parametrize("name", [*CATALOG, *(name for name in entries() if "{" in name)])
@examples(12)
@given(data=st.data())
def test_a_canonical_name_gives_the_same_architecture(name, data):
    text = data.draw(spelled(entries()[name]), label="text")
    try:
        made = architecture(text)
    except ArchitectureError as error:  # options that exclude each other
        assert str(error).startswith(text)
        return
    assert architecture(made.name) == made
    assert architecture(f" {made.name}\n") == made
    head, *rest = text.split(",")
    assert architecture(",".join([head, *reversed(rest)])) == made
    assert set(made.name.split(",")) <= set(text.split(","))


def test_no_two_families_have_a_name_in_common():
    names = [name for file in catalog._files() for name in catalog._lines(file)]
    assert sorted(names) == sorted(entries())


@examples(60)
@given(st.integers(1, 300), st.sampled_from(["plain", "resnet", "preact_resnet"]))
def test_a_depth_exists_if_it_is_6n_plus_2(depth, family):
    fits = depth > 2 and depth % 6 == 2
    if fits:
        assert architecture(f"cifar_{family}{depth}").cost().macs > 0
    else:
        with pytest.raises(ArchitectureError, match=r"nearest are \d+ and \d+"):
            architecture(f"cifar_{family}{depth}")


VALID = sorted({*(name for name in entries() if "{" not in name), "resnet20", "plain8", "cifar_resnet50"})
LETTERS = st.sampled_from("abcresnt0159_,=-x:. {}é٣²\n") | st.characters()


@st.composite
def mutated(draw):
    """A valid name with options, of which some characters are dropped, doubled, replaced or inserted."""
    text = draw(st.sampled_from(VALID))
    text += draw(st.sampled_from(["", ",classes=7", ",shortcut=B,order=full-preact", ",input=3x64x64", ",width=2"]))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(LETTERS | st.just("")) + text[at + draw(st.integers(0, 1)) :]
    return text


@examples(120)
@given(st.text() | mutated())
@example("")
@example(",")
@example("resnet{6n+2}")
@example("resnet50,")
@example("resnet50,classes")
@example("resnet50,classes=")
@example("resnet50,classes=99999999999999999999")
@example("resnet50,groups=3")
@example("resnet50,input=0x1x1")
@example("resnet50,input=3x224x224,input=3x224x224")
@example("resnet999999999")
@example("resnet" + "9" * 5000)
@example("resnet50,se=-1")
@example("vgg16,width=1048577")
@example("wide_resnet50_2,width=1048576")
def test_any_text_is_a_network_or_a_resbench_error(text):
    try:
        made = architecture(text)
    except ResbenchError as error:
        event(type(error).__name__)
        assert str(error)
        assert len(str(error)) < 400 + len(text)
    else:
        event("a network")
        assert architecture(made.name) == made


def test_networks_of_one_family_differ():
    reports = [architecture(f"resnet{6 * n + 2}").cost() for n in range(1, 6)]
    assert all(a.params < b.params and a.macs < b.macs for a, b in pairwise(reports))
