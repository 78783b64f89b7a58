"""What `import resbench` gives: one call a question, whose results read themselves."""

import ast
import re
from pathlib import Path

import pytest
import torch

import resbench
from resbench.costs.measure import cost
from resbench.errors import OptionError, OutputError

PACKAGE = Path(resbench.__file__).parent


def test_every_public_name_is_there_and_editors_know_the_same_ones():
    assert all(getattr(resbench, name) is not None for name in resbench.__all__)
    for_editors = [
        (alias.asname, node.module)
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("resbench")
        for alias in node.names
    ]
    assert sorted(name for name, _ in for_editors) == sorted(resbench.__all__)
    assert {name: module for name, module in for_editors if name != "arch"}.items() <= resbench._HOME.items()


def test_no_module_has_the_name_of_a_public_function_but_arch():
    """The import of a submodule overwrites the attribute of its package."""
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert modules & set(resbench.__all__) == {"arch"}


def test_a_result_of_one_network_is_asked_as_the_network_is():
    assert resbench.flops("resnet20").macs == cost("resnet20").macs
    with pytest.raises(AttributeError, match="Costs of 2 networks has no 'macs'"):
        resbench.flops(["plain20", "resnet20"]).macs  # noqa: B018


def test_a_result_reads_itself_as_text_html_frame_chart_and_file(tmp_path):
    found = resbench.flops(["plain20", "resnet20"])
    assert "40,551,040" in str(found)
    assert found._repr_html_().count("<tr") >= 3
    assert found.to_pandas()["macs"].tolist() == [one.macs for one in found.costs]
    assert len(found.plot().to_dict()["vconcat"]) == 2
    for name in ("a.json", "a.json.gz", "a.csv", "a.tsv", "a.md", "a.tex", "a.html", "a.svg"):
        found.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size
    with pytest.raises(OptionError, match=r"expected a file that ends in .*; received 'a.docx'"):
        found.save(tmp_path / "a.docx")
    with pytest.raises(OutputError, match="nothing to draw: "):
        resbench.show("resnet20").plot()
    assert not (tmp_path / "a.docx").exists()


GIVEN = resbench.arch("resnet8")


def test_an_input_beside_an_architecture_is_used():
    assert resbench.show(resbench.arch("resnet8"), (3, 16, 16)).input == (1, 3, 16, 16)
    assert resbench.show(resbench.arch("resnet8")).input == (1, 3, 32, 32)
    with pytest.raises(resbench.ResbenchError):
        resbench.show(resbench.arch("resnet8"), "garbage")


def test_only_takes_a_name_as_one_name():
    assert resbench.flops(["resnet8", "resnet8,width=2"]).only("resnet8,width=2").models() == ["resnet8,width=2"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        *((lambda given=given: resbench.compare(given), "expected the names") for given in (5, [5], GIVEN, GIVEN.body)),
        *((lambda given=given: resbench.report(given), "expected the names") for given in (None, [[]], GIVEN, b"x")),
        *((lambda given=given: resbench.latency(given), "expected the names") for given in (None, 5, [GIVEN])),
        *((lambda given=given: resbench.degradation(given), "expected the names") for given in (None, GIVEN)),
        (lambda: resbench.gradflow("resnet8", norm="x"), "norm is bn or none; received 'x'"),
        (lambda: resbench.layers("resnet8", device="cuda:99"), "no "),
        (lambda: resbench.profile("resnet8", trace="t", device="cuda:99"), "no "),
        (lambda: resbench.report("resnet8", parts=("cost",)).save("page.svg"), "expected a file that ends in .html"),
        (lambda: resbench.report("resnet8", parts=("",)), "--parts takes"),
        (
            lambda: resbench.arch.select(resbench.arch("resnet8"), resbench.arch.ReLU).replace(torch.nn.GELU()),
            "expected a layer in its place",
        ),
    ],
)
def test_what_cannot_be_is_one_line_of_the_family(tmp_path, monkeypatch, call, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(resbench.ResbenchError, match=re.escape(said)) as refused:
        call()
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_an_architecture_or_an_expression_is_a_model_of_every_call(tmp_path):
    wide = resbench.arch.select(resbench.arch("resnet8"), resbench.arch.ReLU).replace(resbench.arch.GELU())
    for given, size, name in ((wide, None, "resnet8 (edited)"), (wide.body, (3, 32, 32), "expression")):
        (found,) = resbench.memory(given, size, mode="training").reports
        assert found.model == name
        assert found.measured.weights == 4 * resbench.flops("resnet8").params
        assert resbench.profile(given, size, trace=tmp_path, steps=1).model == name
        (flow,) = resbench.gradflow(given, size, steps=(0,), seeds=2, batch=8).flows
        assert flow.model == name
        losses = [row.value for row in flow.rows if row.statistic == "loss"]
        assert len(losses) == len(set(losses)) == 2  # every seed initialises it anew


def test_an_expression_is_built_and_what_is_no_network_is_one_line():
    from resbench.arch import Conv2d, ReLU, Seq

    net = resbench.build(Seq(conv=Conv2d(3, 4, 3), relu=ReLU()))
    assert [name for name, _ in net.named_children()] == ["conv", "relu"]
    with pytest.raises(OptionError, match=r"^expected a model's name, an architecture or an expression, received int$"):
        resbench.build(5)


def test_more_threads_than_torch_bears_are_refused_in_one_line():
    with pytest.raises(OptionError, match=r"^expected threads of at most 4096, received 1000000000$"):
        resbench.latency("resnet8", threads=10**9)


def test_what_is_left_of_a_comparison_says_nothing_of_the_others():
    whole = resbench.compare(["resnet8", "plain8", "resnet14"])
    left = whole.only(["plain8"])
    assert (left.models(), left.baseline) == (["plain8"], "resnet8")
    assert "resnet14" not in str(left)
    assert left.table.rows[0] == whole.table.rows[1]
    assert whole.only(whole.models()) == whole
    assert whole.only("resnet20") is None
    assert resbench.show("resnet8").only(["plain8"]) is None
    assert resbench.show("resnet8").only(["resnet8"]).models() == ["resnet8"]
