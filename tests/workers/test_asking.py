"""A fresh process answers, or a line says how it ended; it does not outlive whoever asked it."""

import os
import select
import subprocess
import sys

import pytest

from resbench.workers import asking

ANSWERS = """
import os, signal, threading
from resbench.workers.asking import answer
def found(request):
    print("a model prints this")
    BODY
if __name__ == "__main__":
    answer(found)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module that answers so."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def make(body):
        (tmp_path / "answering.py").write_text(ANSWERS.replace("BODY", body))
        return "answering"

    return make


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("return {'twice': 2 * request['a'], 'read': os.read(0, 9).decode()}", {"twice": 6, "read": ""}),
        ("os._exit(7)", {"error": "net: the process that measured it ended with status 7: a model prints this"}),
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            {"error": "net: the process that measured it crashed (SIGSEGV): a model prints this"},
        ),
    ],
)
def test_the_answer_or_how_the_process_ended(module, tmp_path, body, answer):
    name = module(f"os.sys.stdout.flush(); {body}")
    assert asking.ask(name, {"a": 3}, "net", tmp_path) == answer


def test_only_what_the_system_kills_lacked_memory(module, tmp_path):
    found = asking.ask(module("os.kill(os.getpid(), signal.SIGKILL)"), {}, "net", tmp_path)
    assert "want of memory; take a smaller --batch" in found["error"]


def test_what_hangs_is_ended(module, tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "LIMIT_S", 3)
    found = asking.ask(module("threading.Event().wait()"), {}, "net", tmp_path)
    assert found == {"error": "net: the process that measured it hung: it had not ended after 0.05 minutes"}


def test_a_process_ends_with_whoever_asked_it_and_takes_the_folder_along(module, tmp_path):
    shared, told = tmp_path / "shared", tmp_path / "told"
    shared.mkdir()
    os.mkfifo(told)
    name = module(f"kept = open({str(told)!r}, 'w'); threading.Event().wait()")
    asks = "import sys; from pathlib import Path; from resbench.workers.asking import ask; "
    asks += "ask(sys.argv[1], {}, '', Path(sys.argv[2]))"
    parent = subprocess.Popen([sys.executable, "-c", asks, name, str(shared)])
    with told.open() as pipe:  # it opens when the other process has
        parent.kill()
        parent.wait()
        assert select.select([pipe], [], [], 60)[0]  # it ends when the other process does
    assert not shared.exists()
