"""Threads sleep while they wait where nothing is timed, and a process that times gets what the user has set."""

import json
import os
import subprocess
import sys

import pytest

from resbench.workers.environment import environment
from resbench.workers.neighbours import crowded, taken
from resbench.workers.waiting import DECIDE, IN_ROOM, VARIABLE, waiting_lines

ASK = """
import json, os, sys
import resbench
getattr(resbench, sys.argv[1])
from resbench.workers.waiting import VARIABLE, as_given
print(json.dumps([os.environ.get(VARIABLE), as_given().get(VARIABLE), "torch" in sys.modules]))
"""


def ask(question, **given):
    """What a fresh process has set when it has looked up a function of ours, and what OpenMP says of itself."""
    clean = {name: value for name, value in os.environ.items() if name not in DECIDE}
    environment = {**clean, "OMP_DISPLAY_ENV": "TRUE", **given}
    done = subprocess.run([sys.executable, "-c", ASK, question], env=environment, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if VARIABLE in line]
    return json.loads(done.stdout), said


def test_openmp_is_told_before_torch_is_loaded_and_timed_processes_are_not():
    busy = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
    try:
        (here, for_timed, loaded), said = ask("gradflow")
    finally:
        busy.kill()
        busy.wait()
    assert (here, for_timed, loaded) == ("PASSIVE", None, True)
    assert all("PASSIVE" in line for line in said)
    assert said or sys.platform != "linux"


def test_what_is_timed_and_what_the_user_has_set_is_left_alone():
    assert ask("latency")[0] == [None, None, True]
    assert ask("gradflow", OMP_WAIT_POLICY="active")[0] == ["active", "active", True]


def test_that_threads_spin_is_said_of_several():
    (line,) = waiting_lines("active", 2)
    assert "OMP_WAIT_POLICY=PASSIVE" in line
    (line,) = waiting_lines(IN_ROOM, 2)
    assert line.endswith("no other program took a core when this began.")
    assert waiting_lines("active", 1) == waiting_lines("passive", 2) == waiting_lines(None, 2) == []


def test_the_record_says_how_threads_waited(monkeypatch):
    for name in DECIDE:
        monkeypatch.delenv(name, raising=False)
    assert environment().volatile["waiting"] == "active"
    monkeypatch.setenv(VARIABLE, "passive")
    assert environment().volatile["waiting"] == "passive"


STAT = """cpu  0 0 0 0 0 0 0 0 0 0
cpu0 {user} 0 100 {idle} 5 0 0 0 0 0
cpu99 123456 0 0 0 0 0 0 0 0 0
intr 1 2 3
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system says nothing of its cores")
def test_what_others_took_is_the_time_of_our_cores_less_our_own(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    clock = {"monotonic": 10.0, "process_time": 1.0}
    for name in clock:
        monkeypatch.setattr(f"resbench.workers.neighbours.time.{name}", lambda name=name: clock[name])
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(STAT.format(user=1000, idle=50))
    cores = taken(tmp_path)
    (tmp_path / "proc/stat").write_text(STAT.format(user=1300, idle=150))
    clock.update(monotonic=14.0, process_time=2.0)
    assert cores() == pytest.approx((3.0 - 1.0) / 4.0)  # of 3 s that the core worked we had 1
    assert taken(tmp_path / "nowhere")() is None


def test_room_for_our_threads_is_not_said_and_a_lack_of_it_is():
    assert crowded(1.0, 1, 2) == crowded(0.1, 2, 2) == crowded(1.0, 2, None) == ""
    assert "took 1.0 of 2 cores while 2 threads ran" in crowded(1.0, 2, 2)


WAITED = """
import json, sys
import resbench
from resbench.pages.compare import settle
from resbench.workers.waiting import waiting, IN_ROOM
settle(sys.argv[1:])
print(json.dumps(waiting() in ("passive", IN_ROOM)))
"""


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [(["gradflow", "degradation"], True), (["gradflow", "latency"], False), (["flops", "published"], False)],
)
def test_what_measures_several_things_looks_for_room_where_none_is_timed(kinds, chosen):
    clean = {name: value for name, value in os.environ.items() if name not in DECIDE}
    done = subprocess.run([sys.executable, "-c", WAITED, *kinds], env=clean, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is chosen
