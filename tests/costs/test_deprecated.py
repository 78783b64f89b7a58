"""Two names of the first release work on for another one, and say what to call in their place."""

import pytest

import resbench
from resbench.costs import measure, table


def test_cost_gives_what_flops_gives():
    with pytest.warns(DeprecationWarning, match="use resbench.flops") as warned:
        report = resbench.cost("resnet20", batch=2, mode="training")
    assert warned[0].filename == __file__
    assert report == measure.cost("resnet20", batch=2, mode="training")
    assert resbench.flops("resnet20", batch=2, mode="training").costs == (report,)


def test_cost_table_gives_what_the_tables_of_flops_are():
    result = resbench.flops("resnet20")
    with pytest.warns(DeprecationWarning, match="use resbench.flops"):
        old = resbench.cost_table(result.costs, per="stage")
    assert old == table.cost_table(result.costs, "stage") == result.tables("stage")[0]
