"""The claims that need no training come out as expected here, and a wrong number is noticed."""

import math

import pytest

from resbench.errors import MeasureError, OptionError
from resbench.lessons import on_blocks, on_counting
from resbench.lessons.lab import CONDITION, HOLDS, WRONG, Lab
from resbench.lessons.measure import CLAIMS, chosen, findings
from resbench.lessons.on_trainings import falling_share
from resbench.training.degradation import Plan
from resbench.training.train import Options


@pytest.fixture
def lab(tmp_path):
    return Lab(Plan(), Options(folder=tmp_path))


QUICK = [claim for claim in CLAIMS if not claim.trains and claim.id not in (4, 5)]
TIMED = (7, 11)
"""They time layers, until these have settled."""


@pytest.mark.parametrize(
    "claim",
    [pytest.param(c, id=str(c.id), marks=[pytest.mark.slow] if c.id in TIMED else []) for c in QUICK],
)
def test_what_needs_no_training_comes_out_as_expected(lab, claim):
    (finding,) = findings([claim], lab)
    assert finding.as_expected, finding
    assert finding.figure


def test_the_claims_are_numbered_and_each_has_a_verdict():
    assert [claim.id for claim in CLAIMS] == list(range(1, 19))
    assert {claim.expected for claim in CLAIMS} == {HOLDS, CONDITION, WRONG}
    assert CLAIMS[0].rerun == "resbench claims 1 --full --data-root DIR"
    assert CLAIMS[9].rerun == "resbench claims 10"
    assert chosen(["3", "1", "3"]) == [CLAIMS[2], CLAIMS[0]]
    assert len(chosen([])) == 18
    with pytest.raises(OptionError, match="from 1 to 18; received 19"):
        chosen(["19"])


def test_the_figures_say_the_integers(lab):
    assert "120,422,400 to 12,443,648 MACs: 9.68 times fewer" in on_counting.reduction(lab).figure
    assert "73,728 weights; bottleneck of 256: 69,632 (0.944 times)" in on_counting.bottleneck(lab).figure
    constant = "52 convolutions of 2,359,296 MACs, the 2 that halve the map 1,179,648"
    assert constant in on_counting.constant_cost(lab).figure
    assert "A: 853,018 parameters, 0 projections; B: 855,770 parameters, 2" in on_counting.options(lab).figure


def test_a_claim_that_comes_out_otherwise_is_noticed(lab, monkeypatch):
    assert next(findings([CLAIMS[9]], lab)).as_expected
    counted = on_counting.cost
    monkeypatch.setattr(on_counting, "cost", lambda name: counted("conv5x5_direct"))  # as if nothing were saved
    (finding,) = findings([CLAIMS[9]], lab)
    assert finding.verdict == WRONG
    assert not finding.as_expected


def test_an_experiment_that_cannot_be_made_does_not_end_the_others(lab):
    def cannot(lab):
        raise MeasureError("out of memory")

    found = list(findings([CLAIMS[8]._replace(experiment=cannot), CLAIMS[9]], lab))
    assert [finding.verdict for finding in found] == ["not answered", HOLDS]
    assert not found[0].as_expected


def test_the_sum_of_gradients_is_exact_only_with_identities():
    assert on_blocks.sum_defect("resnet20,order=full-preact") < 1e-12
    assert on_blocks.sum_defect("resnet20") > 0.05
    assert math.isfinite(on_blocks.sum_defect("resnet20,shortcut=scaling"))


def test_a_signal_behind_relu_can_only_grow():
    assert falling_share("resnet20,order=relu-before-add") == 0
    assert 0.3 < falling_share("resnet20") < 0.7
