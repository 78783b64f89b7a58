"""Figures in print, each with a verdict that is computed."""

import csv
import io
import re
from collections import defaultdict
from functools import cache
from math import prod

import pytest
from commands import called
from zoos import import_torchvision

from resbench.arch.catalog import architecture
from resbench.arch.editing import select
from resbench.arch.profilers import CONVENTIONS, FVCORE, PADDLE, PICTURED, PTFLOPS, STRIDED, THOP, counted
from resbench.arch.published import SCALES, SOURCES, PrintedCost, agrees, is_exact, literature
from resbench.networks import audit as auditing
from resbench.networks.audit import audit

FIGURE = re.compile(r"[0-9][0-9,]*(\.[0-9]+)?[kMGB]?")


def judged(monkeypatch, *lines):
    """The audit of these lines alone."""
    monkeypatch.setattr(auditing, "literature", lambda: lines)
    return {(one.model, one.quantity): one for one in auditing._audited.__wrapped__()}


def test_every_figure_has_a_source_and_the_place_where_it_was_read():
    for line in literature():
        source = SOURCES[line.source]
        assert source.title and source.place and source.read
        assert line.params or line.macs
        assert all(FIGURE.fullmatch(printed) for printed in (line.params, line.macs) if printed)
        assert re.fullmatch(r"[0-9]+x[0-9]+x[0-9]+", line.input)
    assert {line.source for line in literature()} == set(SOURCES)


def test_no_figure_stands_there_twice():
    assert len(set(literature())) == len(literature())


def test_the_figures_of_more_than_120_networks_were_seen():
    assert len({line.base for line in literature() if SOURCES[line.source].read != "not seen"}) > 120


def test_sources_count_by_conventions_that_there_are():
    named = {text for source in SOURCES.values() for text in source.conventions}
    assert named <= set(CONVENTIONS)


@cache
def network(name, size):
    return architecture(f"{name},input={size}")


def test_a_verdict_follows_from_the_count():
    """Here the count is the total of the network, not the sum by types that the audit takes."""
    totals = cache(lambda name, size: network(name, size).totals())
    for one in audit().figures_in_print:
        base = totals(one.model.partition(",")[0], one.input)
        assert (one.params, one.macs, one.elementwise) == (base.params, base.macs, base.elementwise)
        same = agrees(getattr(base, one.quantity), one.printed)
        assert same == (one.verdict in ("exact", "rounded"))
        assert not same or is_exact(one.printed) == (one.verdict == "exact")
        assert bool(one.explanation) == (one.verdict in ("explained", "another network"))


def test_an_explanation_gives_the_printed_digits():
    by_type = cache(lambda name, size: counted(network(name, size)))
    for one in audit().figures_in_print:
        *form, last = one.explanation.split("; ")
        if last in CONVENTIONS:
            name = one.model if form else one.model.partition(",")[0]
            assert agrees(CONVENTIONS[last](by_type(name, one.input)), one.printed)
        elif last:
            assert agrees(getattr(by_type(one.model, one.input), one.quantity), one.printed)


def test_an_explanation_holds_for_a_second_network_of_its_source():
    networks = defaultdict(set)
    for one in audit().figures_in_print:
        networks[one.source, one.quantity, one.explanation].add(one.model.partition(",")[0])
    for one in audit().figures_in_print:
        if one.verdict == "explained":
            assert len(networks[one.source, one.quantity, one.explanation]) >= 2, one


@pytest.mark.parametrize("name", ["googlenet,aux=yes", "resnet110", "shufflenet_v2_x0_5", "resnest14d", "vgg11_bn"])
def test_sums_by_type_are_those_of_the_rows(name):
    net, rows = counted(architecture(name)), architecture(name).cost().layers
    assert set(net.types) == {row.type for row in rows}
    for kind, sums in net.types.items():
        alike = [row for row in rows if row.type == kind]
        assert sums.params == sum(row.params for row in alike)
        assert sums.macs == sum(row.macs for row in alike)
        assert sums.each == [(row.elementwise, prod(row.output)) for row in alike]
        assert (sums.elementwise, sums.elements) == tuple(map(sum, zip(*sums.each, strict=True)))


def test_figures_with_all_their_digits_confirm_the_conventions():
    """The expected values are printed by the sources, to the last digit; they share no code with ours."""
    for network, text, printed in (
        ("regnet_y_1_6gf", "MACs + biases", 1_612_087_326),  # pycls, dev/model_complexity.json
        ("efficientnet_b0", "MACs + biases", 385_825_092),
        ("resnet50", "MACs + 2 an element of BN, 5 of LN + average pooling", 4_111_512_576),  # fvcore 0.1.5
        ("efficientnet_b0", "MACs + 5 an element of BN + average pooling - classifier", 420_592_480),  # mmpretrain
        ("convnextv2_tiny", "MACs + 5 an element of LN - classifier", 4_469_631_744),
        ("resnet50", "parameters + running statistics + a bias in each convolution", 25_636_712),  # Keras
        ("preact_resnet101", CONVENTION_OF_V2, 44_675_560),
        ("inception_v3", "parameters + running statistics - gammas", 23_851_784),
        ("resnet50", f"{THOP} + 2 an element of BN, {PICTURED}", 5_282_531_328),  # timm's model cards
        ("seresnet50", f"{THOP} + 2 an element of BN, {PICTURED}", 5_285_062_320),
        ("regnet_x_32gf", f"{THOP}, {PICTURED}", 40_798_958_592),
        ("efficientnet_b7", f"{THOP} + 2 an element of BN, {STRIDED}, {PICTURED}", 48_205_304_880),
        ("efficientnet_v2_l", f"{FVCORE}, with the strides in the 1x1 behind a 3x3", 60_142_387_008),  # mmpretrain
        ("inception_v3", PTFLOPS, 5_745_177_632),
        ("densenet169", f"{PTFLOPS} - classifier", 3_416_860_160),
        ("efficientnet_b7", "parameters + running statistics + 7 of the input's normalisation", 66_658_687),
    ):
        assert CONVENTIONS[text](counted(architecture(network))) == printed


def test_paddles_summary_divides_by_the_groups_twice():
    net = architecture("resnext50_32x4d")
    rows = {row.name: row for row in net.cost().layers}
    grouped = [(name, conv) for name, conv in select(net, "*.conv2") if conv.groups == 32]
    lost = sum(
        rows[name].macs - rows[name].macs * (conv.in_channels // 32 // 32) // (conv.in_channels // 32)
        for name, conv in grouped
    )
    twice = 2 * (net.totals().macs - 2_048_000 - lost) + 2_048_000
    windows = sum(row.elementwise for row in rows.values() if row.type in ("ReLU", "MaxPool2d"))
    assert len(grouped) == 16
    assert CONVENTIONS[PADDLE](counted(net)) == twice + windows


CONVENTION_OF_V2 = "parameters + running statistics + a bias in the convolutions of stem, sums and shortcuts"


def test_a_digit_that_is_wrong_is_seen(monkeypatch):
    right = PrintedCost("resnet50", "pycls", "3x224x224", "25557032", "4089185256")
    second = PrintedCost("efficientnet_b0", "pycls", "3x224x224", "", "385825092")
    found = judged(monkeypatch, right, second)
    assert found["resnet50", "params"].verdict == "exact"
    assert found["resnet50", "macs"].verdict == "explained"
    found = judged(monkeypatch, right._replace(params="25557033", macs="4089185257"), second)
    assert found["resnet50", "params"].verdict == found["resnet50", "macs"].verdict == "unexplained"


def test_a_formula_of_one_network_alone_explains_nothing(monkeypatch):
    found = judged(monkeypatch, PrintedCost("resnet50", "pycls", "3x224x224", "", "4089185256"))
    assert found["resnet50", "macs"].verdict == "unexplained"


def test_another_network_of_that_name_is_told(monkeypatch):
    found = judged(monkeypatch, PrintedCost("regnet_x_400mf,widths=paper", "timm", "3x224x224", "5.16M", ""))
    one = found["regnet_x_400mf,widths=paper", "params"]
    assert (one.verdict, one.explanation, one.params) == ("another network", "widths=paper", 5_495_976)


def test_the_lines_of_torchvision_are_what_it_says_itself():
    models = import_torchvision().models
    lines = [line for line in literature() if line.source == "torchvision"]
    for line in lines:
        said = {
            (
                weights.transforms.keywords["crop_size"],
                f"{weights.meta['num_params']:,}",
                f"{weights.meta['_ops']:.3f}G",
            )
            for weights in models.get_model_weights(line.base)
        }
        assert (int(line.input.rpartition("x")[2]), line.params, line.macs) in said


def test_a_figure_is_read_to_its_digits():
    assert SCALES["B"] == SCALES["G"]
    assert agrees(24_650_000_000, "24.6B") and not agrees(24_660_000_000, "24.6B")
    assert agrees(1_234_567, "1,234,567") and not agrees(1_234_568, "1,234,567")
    assert agrees(4_121_000_000, "4120000000") and not agrees(4_126_000_000, "4120000000")


def test_models_audit_shows_a_network_or_sums_all():
    rows = list(csv.DictReader(io.StringIO(called("models", "--audit", "--format", "csv").stdout)))
    assert len(rows) == len(audit().figures_in_print)
    resnet50 = next(row for row in rows if row["model"] == "resnet50" and row["quantity"] == "macs")
    assert (resnet50["torchvision"], resnet50["openmmlab"]) == ("4.089G", "4120000000")
    assert "25,636,712 parameters" in called("models", "resnet50", "--audit").stdout
    assert f"{len(rows)} figures in print of" in called("models", "--audit").stdout


@pytest.mark.parametrize("word", ["nosuchthing", "conv3x3"])
def test_a_word_without_figures_is_refused_in_one_line(word):
    done = called("models", word, "--audit")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"contains {word!r}" in done.stderr
