"""Processes that share work: what dies or hangs in one is named, and the rest is done."""

import os
import time
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children

import pytest

from resbench.sweeps.pool import Crew, ends_after


def work(given):
    with ends_after(1.0):
        if given == "dies":
            os._exit(9)
        if given == "hangs":
            time.sleep(600)
        return given.upper()


def test_what_dies_or_hangs_is_named_and_the_others_are_done():
    with Crew(2) as crew:
        found = dict(crew.each(work, ["a", "hangs", "b", "dies", "c"], lambda given: f"{given} here"))
    assert found == {"a": "A", "hangs": "hangs here", "b": "B", "dies": "dies here", "c": "C"}


def test_after_a_death_new_processes_do_what_is_begun():
    with Crew(2) as crew:
        dead = crew.begun(work, "dies")
        with pytest.raises(BrokenProcessPool):
            dead.result()
        assert crew.begun(work, "a").result() == "A"


def test_all_processes_start_with_the_first_work():
    others = active_children()
    with Crew(3) as crew:
        assert crew.begun(work, "a").result() == "A"
        begun = [process for process in active_children() if process not in others]
        assert len(begun) == 3, "none starts while another dies, in which Python 3.11 trips"


def test_work_that_ends_in_time_leaves_no_clock_behind():
    with ends_after(0.2):
        pass
    time.sleep(0.4)
