"""Block diagrams: all of a network is there, nothing overlaps or is clipped, and every shortcut is what it is."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from variants import CATALOG

from resbench.arch.algebra import Add, Combinator, Layer
from resbench.arch.catalog import architecture
from resbench.arch.rows import Cost, Row
from resbench.arch.structure import blocks
from resbench.drawing.boxes import MARGIN, Rect, Text, text_width
from resbench.drawing.branches import carries
from resbench.drawing.diagram import draw, panel
from resbench.drawing.growth import grown, name_of
from resbench.drawing.sheet import layout
from resbench.drawing.tree import MOST, draw_tree, lines
from resbench.units import count_text

NAMES = sorted([*CATALOG, "resnet20", "plain20", "preact_resnet20", "repvgg_b1g4"])
VARIANTS = [
    "res2net50_14w_8s",
    "resnet110",
    "resnet56,order=full-preact",
    "googlenet,aux=yes",
    "resnet110,shortcut=exclusive-gate",
]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_every_network_draws_with_all_of_its_blocks(name):
    arch = architecture(name)
    picture = ElementTree.fromstring(draw(arch))
    said = " ".join(one.text or "" for one in picture.iter(f"{SVG}text"))
    hints = " ".join(one.text or "" for one in picture.iter(f"{SVG}title"))
    assert name in said
    for run in grown(blocks(arch)):
        for block in run:
            assert block.name in said or block.first in hints or name_of(run) in said, block.name
    assert not picture.findall(".//*[@id]")  # several stand in one page


def boxes(box, x=0.0, y=0.0):
    """Every box below one with its place on the page."""
    for dx, dy, child in box.children:
        yield child, x + dx, y + dy
        yield from boxes(child, x + dx, y + dy)


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_nothing_overlaps_and_nothing_is_clipped(name):
    for top in layout([panel(architecture(name))]):
        for box, x, y in [(top, 0.0, 0.0), *boxes(top)]:
            assert x >= -0.01 and y >= -0.01
            assert x + box.width <= top.width + 0.01 and y + box.height <= top.height + 0.01
            for mark in box.marks:
                if isinstance(mark, Text):
                    width = text_width(mark.text, mark.font)
                    left = x + mark.x - {"start": 0, "middle": width / 2, "end": width}[mark.anchor]
                    assert left >= -MARGIN, mark.text
                    assert left + width <= top.width + MARGIN, mark.text
                if isinstance(mark, Rect):
                    assert x + mark.x + mark.width <= top.width + 0.01
            placed = [(dx, dy, child) for dx, dy, child in box.children if child.height > 0 and child.width > 2]
            for i, (ax, ay, a) in enumerate(placed):
                for bx, by, b in placed[:i]:
                    across = min(ax + a.width, bx + b.width) - max(ax, bx)
                    down = min(ay + a.height, by + b.height) - max(ay, by)
                    assert across <= 0.01 or down <= 0.01, (a, b)


def sums(node):
    if isinstance(node, Add):
        yield node
    if isinstance(node, Combinator) and not isinstance(node, Layer):
        for part in node:
            yield from sums(part)


@pytest.mark.parametrize(
    ("name", "identities", "projections", "paddings"),
    [
        ("plain34", 0, 0, 0),
        ("resnet34", 4, 3, 0),  # of 13 identities those of four stages are equal
        ("resnet50", 4, 4, 0),
        ("resnet20", 3, 0, 2),
        ("preact_resnet1001", 3, 3, 0),
        ("googlenet", 0, 0, 0),
        ("res2net50_26w_4s", 4, 4, 0),  # a sum of two slices of x has no shortcut that pads
    ],
)
def test_shortcuts_are_drawn_as_what_they_do(name, identities, projections, paddings):
    picture = draw(architecture(name))
    found = re.findall(r'<path [^>]*?(stroke-dasharray="4 2.5" )?data-shortcut="(\w+)"', picture)
    assert [what for _, what in found].count("identity") == identities
    assert [what for _, what in found].count("projection") == projections
    assert [what for _, what in found].count("padding") == paddings
    assert all(bool(dashed) == (what in ("projection", "padding")) for dashed, what in found)


@pytest.mark.parametrize("name", ["resnet34", "preact_resnet1001", "resnet110", "inception_v3"])
def test_folded_blocks_are_all_of_them(name):
    arch = architecture(name)
    found = blocks(arch)
    total = arch.cost()
    assert (sum(b.params for b in found), sum(b.macs for b in found)) == (total.params, total.macs)
    drawn = sum(int(n) - 1 for n in re.findall(r">× (\d+)<", draw(arch)))
    assert drawn == sum(block.repeat - 1 for block in found)
    assert sum(b.repeat for b in found if any(sums(b.node))) == len(list(sums(arch.body)))


def test_layers_that_grow_are_one_frame_with_what_all_of_them_take():
    picture = draw(architecture("densenet121"))
    assert re.findall(r">× (\d+)<", picture) == ["6", "12", "24", "16"]
    rows = [row for row in architecture("densenet121").cost().layers if row.name.startswith("features.denseblock1.")]
    together = f"{count_text(sum(row.params for row in rows))} / {count_text(sum(row.macs for row in rows))} together"
    for text in ("features.denseblock1.denselayer1-6", together, "concat, 96…256", "concat, 544…1024", "3x3, 32"):
        assert f">{text}<" in picture
    assert ">3x3, 16…64<" not in draw(architecture("resnet20"))


def test_steps_and_lanes_of_one_form_are_drawn_once():
    picture = draw(architecture("res2net50_14w_8s"))
    assert re.findall(r">× (\d+)<", picture) == ["7", "2", "6", "7", "3", "6", "7", "5", "6", "7", "2", "6"]
    for text in ("channels 0-13…84-97", "channels 14-27…84-97", "channels 0-13…70-83", "channels 28-111…98-111"):
        assert f">{text}<" in picture
    assert ">channels 28-41<" not in picture


def test_blocks_that_take_turns_are_one_repeated():
    found = {block.name: block for block in blocks(architecture("repvgg_b1g4"))}
    names = ["stages.2.0", "stages.2.1-14", "stages.2.15"]
    assert {name: found[name].repeat for name in found if name.startswith("stages.2")} == dict.fromkeys(names, 1) | {
        names[1]: 7
    }
    rows = [row for row in architecture("repvgg_b1g4").cost().layers if row.name.startswith("stages.2.")]
    assert sum(found[name].macs for name in names) == sum(row.macs for row in rows)
    assert "stages.2.2.conv_kxk.conv: " in draw(architecture("repvgg_b1g4"))


def test_slices_that_grow_say_where_they_begin_and_end():
    picture = draw(architecture("dpn68"))
    assert ">channels 256-351…671<" in picture  # the dense path grows where it stands, the new channels behind it
    assert ">channels 608-639…928-959<" in picture


def test_a_convolution_that_strides_stands_with_its_activation():
    for name, stem in (
        ("alexnet", "features.0 to features.2"),
        ("densenet121", "features.conv0 to features.pool0"),
        ("resnet50d", "conv1"),
        ("convnextv2_base", "stages.2.downsample to stages.2.blocks.26"),
    ):
        assert f'font-weight="bold">{stem}</text>' in draw(architecture(name))


def test_modules_of_unlike_widths_are_drawn_each():
    for name in ("googlenet", "inception_v3", "squeezenet1_0", "mobilenet_v3_large"):
        assert all(len(run) == 1 for run in grown(blocks(architecture(name))))


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_no_more_than_two_screens(name):
    (panel_box, *_) = layout([panel(architecture(name))])
    assert panel_box.width < 1500
    assert panel_box.height < 2800


def test_a_shortcut_is_a_projection_only_where_it_has_weights():
    kinds = {carries(node.parts[1][1]) for node in sums(architecture("resnet50").body)}
    assert kinds == {"identity", "projection"}
    assert {carries(node.parts[1][1]) for node in sums(architecture("resnet20").body)} == {"identity", "padding"}
    edges = {carries(node.parts[1][1]) for node in sums(architecture("nasbench201").body)}
    assert edges == {"path", "projection"}, "ReLU - 3x3 - BN of a cell, and the shortcut of the residual blocks"


def test_plain_and_residual_stand_below_each_other_in_the_same_columns():
    picture = draw(architecture("plain34"), architecture("resnet34"))
    heads = re.findall(r'<text x="([\d.]+)" y="[\d.]+" font-size="12" font-weight="bold">(layer\d)<', picture)
    places = {}
    for x, name in heads:
        places.setdefault(name, []).append(x)
    assert len(places) == 4
    assert all(len(same) == 2 and same[0] == same[1] for same in places.values())


EVIL = "<script>alert(1)</script>"


def tree(names, model="file:net.py:net"):
    rows = tuple(Row(name, "Conv2d", (1, 8, 4, 4), 80, 1280, 128, 128) for name in names)
    return Cost(model, "net.py", (1, 8, 4, 4), rows)


def test_the_module_tree_folds_equal_neighbours_and_keeps_the_sums():
    cost = tree([f"stage{s}.{i}.{part}" for s in (1, 2) for i in range(36) for part in ("a", "b")])
    found = list(lines(cost))
    assert [(line.name, line.repeat) for line in found] == [
        ("file:net.py:net", 1),
        ("stage1-stage2", 2),
        ("0-35", 36),
        ("a-b", 2),
    ]
    assert (found[0].params, found[1].macs) == (144 * 80, 144 * 1280)


def test_names_are_escaped_and_two_thousand_modules_are_a_picture():
    assert draw_tree(tree([EVIL, "x\x00y"], EVIL)).count("<script") == 0
    ElementTree.fromstring(draw_tree(tree([EVIL, "x\x00y"], EVIL)))
    many = tree([f"part{i}.{'conv' if i % 2 else 'other'}{i}" for i in range(2000)])
    picture = draw_tree(many)
    assert len(picture) < 300_000
    assert picture.count("<text") <= 5 * MOST + 10
    assert "modules more" in picture


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("resnet20", "--svg", "x.png"), "--svg takes a file that ends in .svg"),
        (("resnet20", "--svg", "x.svg", "--format", "json"), "--svg writes a picture of its own"),
        (("resnet20", "--svg", "no/x.svg"), "cannot write no/x.svg"),
        (("resent20", "--svg", "x.svg"), "did you mean"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_and_overwrites_nothing(cli, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.svg").write_text("what was there")
    done = cli("show", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert (tmp_path / "x.svg").read_text() == "what was there"


def test_drawing_needs_no_torch(tmp_path):
    code = (
        "import sys; from resbench.cli.main import main; sys.argv[1:] = ['show', 'resnet50', '--svg', 'net.svg']\n"
        "try: main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        "assert not {'torch', 'pandas', 'numpy', 'altair'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "net.svg").read_text().startswith("<svg")
