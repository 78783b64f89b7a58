"""The line of progress: its end time on runs that were recorded, a terminal's width, and a log without a terminal."""

import io
import json
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest

from resbench.cli.progress import EVERY_S, Line
from resbench.progress import Step, of_part, remaining

RECORDED = Path(__file__).parent / "golden/progress"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def errors(name):
    """How far each end time that was given from a third of a part on lay from its end, as a share of its length."""
    run = json.loads((RECORDED / f"{name}.json").read_text())
    parts = [(part, list(moments)) for part, moments in groupby(run["moments"], key=lambda moment: moment[1])]
    ends = [moments[0][0] for _, moments in parts[1:]] + [run["ended"]]
    line, found = Line(), []
    for (part, moments), end in zip(parts, ends, strict=True):
        begun = moments[0][0]
        for at, _, share in moments:
            line._note(at, Step("", part=part), share)
            left = remaining(line.history)
            if left is not None and at - begun >= (end - begun) / 3:
                found.append(abs(at + left - end) / (end - begun))
    return found


def test_nothing_is_known_before_something_is_done():
    assert remaining([]) is remaining([(5.0, 0.0)]) is remaining([(5.0, 0.3), (9.0, 0.3)]) is None
    assert remaining([(0.0, 0.0), (60.0, 1.0)]) is None


def test_what_was_there_before_is_no_work_of_this_run():
    assert remaining([(0.0, 0.5), (10.0, 0.75)]) == 10.0


def shown(monkeypatch, columns, *told):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", str(columns))
    line = Line(clock=iter(range(0, 1000, 10)).__next__)
    for words, share in told:
        line(words, share)
    return sys.stderr.getvalue().split("\r\x1b[K")[1:]


def test_the_end_is_a_time_of_day_and_the_pace_is_not(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    days = iter((0.0, 86_400.0, -86_400.0)).__next__
    line = Line(clock=iter(range(0, 1000, 10)).__next__, today=days)
    for share in (0.0, 0.25, 0.5):
        line(Step("one"), share)
    ends = [text.split("ends about ")[1][:8] for text in sys.stderr.getvalue().split("\r\x1b[K") if "ends" in text]
    assert ends == [time.strftime("%H:%M:%S", time.localtime(at)) for at in (30.0, 86_420.0)]


def test_a_line_has_no_end_time_until_something_is_done(monkeypatch):
    first, second = shown(monkeypatch, 200, (Step("one"), 0.0), (Step("two", "1 row"), 0.5))
    assert first == "one; Ctrl-C keeps nothing"
    assert second.startswith("two; 50%; ends about ")
    assert second.endswith("; Ctrl-C keeps 1 row")


def test_a_narrow_terminal_loses_words_and_no_facts(monkeypatch):
    told = (Step("a network of a very long name: process 2 of 5, and more of it", "1 row"), 0.5)
    (line,) = shown(monkeypatch, 40, told)
    assert len(line) < 40
    assert line.endswith("...; 50%; Ctrl-C keeps 1 row")


def test_a_part_begins_anew(monkeypatch):
    second = of_part(lambda line, share: told.append((line, share)), "part 2 of 2", "1 part")
    told = [(Step("a", part="part 1 of 2"), 0.9)]
    second("b", 0.0)
    second(Step("c", "1 row"), 0.25)
    lines = shown(monkeypatch, 200, *told)
    assert lines[1] == "b; part 2 of 2; Ctrl-C keeps 1 part"
    assert lines[2].startswith("c; part 2 of 2: 25%, this part ends about ")
    assert lines[2].endswith("; Ctrl-C keeps 1 part and 1 row")


def test_a_log_has_a_plain_line_now_and_then(monkeypatch, capsys):
    times = iter([0.0, 1.0, EVERY_S, EVERY_S + 1, 2 * EVERY_S - 1, 2 * EVERY_S])
    line = Line(clock=times.__next__)
    for i in range(5):
        line(Step(f"step {i}", "1 row"), i / 5)
    out, err = capsys.readouterr()
    assert out == ""
    assert [text.partition(";")[0] for text in err.splitlines()] == ["resbench: step 1", "resbench: step 4"]
    assert "\x1b" not in err


STATED = {"gate": 0.03, "gradflow": 0.10, "degradation": 0.16, "latency": 0.19}
"""From a third of a run on, its end time was off by at most this share of the whole run."""


@pytest.mark.parametrize(("name", "most"), STATED.items())
def test_from_a_third_on_the_end_time_is_as_near_as_is_stated(name, most):
    found = errors(name)
    assert found
    assert max(found) <= most
