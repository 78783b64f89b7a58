"""The GitHub Action: its steps run by bash, with a Python in their way that notes what it is called with."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ACTION = yaml.safe_load((Path(__file__).parents[2] / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}

FAKE = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$CALLED"
while [ $# -gt 0 ]; do [ "$1" = --output ] && [ "$ENDS" != 2 ] && echo '| a table |' > "$2"; shift; done
[ "$ENDS" = 0 ] || echo 'resbench: a reason' >&2
exit "$ENDS"
"""


@pytest.fixture
def gate(tmp_path):
    """The step `Gate` with these inputs; what it called, what it wrote, and how the step `Verdict` ends."""

    def run(ends, **inputs):
        python, called, summary, output = (tmp_path / name for name in ("python", "called", "summary", "output"))
        python.write_text(FAKE)
        python.chmod(0o755)
        values = {name: str(field["default"]) for name, field in ACTION["inputs"].items()} | inputs
        env = {
            name: values[text.split("inputs.")[1].split(" ")[0]] if "inputs." in text else str(tmp_path / "out")
            for name, text in STEPS["Gate"]["env"].items()
        }
        env |= {"PYTHON": str(python), "CALLED": str(called), "ENDS": str(ends), "PATH": os.environ["PATH"]}
        env |= {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
        subprocess.run([*bash, STEPS["Gate"]["run"]], env=env, cwd=tmp_path, check=True, capture_output=True)
        status = output.read_text().strip().removeprefix("status=")
        verdict = subprocess.run([*bash, STEPS["Verdict"]["run"]], env={**env, "STATUS": status}, check=False)
        return called.read_text().splitlines(), summary.read_text(), verdict.returncode

    return run


@pytest.mark.parametrize("ends", [0, 1, 2])
def test_the_job_ends_as_the_gate_does(gate, ends):
    _, summary, status = gate(ends)
    assert status == ends
    assert f"exit {ends}" in summary
    assert ("a table" if ends < 2 else "resbench: a reason") in summary


def test_by_default_the_working_tree_is_judged_against_its_merge_base(gate):
    called, _, _ = gate(0)
    assert called[:5] == ["-m", "resbench", "gate", "--suite", "suites/ci.toml"]
    assert called[-2:] == ["--time-budget", "7m"]


def test_counters_alone_take_no_base(gate):
    called, _, _ = gate(0, **{"counters-only": "true", "base": "main"})
    assert called[-1] == "--counters"
    assert "main" not in called


def test_an_input_is_never_run(gate, tmp_path):
    evil = f"$(touch {tmp_path}/run); touch {tmp_path}/run"
    called, _, _ = gate(0, base=evil, suite=evil)
    assert called.count(evil) == 2
    assert not (tmp_path / "run").exists()


def test_a_base_that_looks_like_an_option_is_a_revision(gate):
    called, _, _ = gate(0, base="--update", head="HEAD")
    assert called[-3:] == ["--", "--update", "HEAD"]


def test_no_script_holds_an_expression():
    assert not any("${{" in step.get("run", "") for step in STEPS.values())
    assert "permissions" not in ACTION
