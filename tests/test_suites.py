"""`pytest suites` works on its own."""

import subprocess
from pathlib import Path

import ready

ROOT = Path(__file__).parents[1]


def test_every_suite_is_collected_and_nothing_else():
    command = [ready.python(), "-m", "pytest", "suites", "-q", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    collected = {line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("suites/")}
    assert collected == {f"suites/{file.name}" for file in (ROOT / "suites").glob("bench_*.py")}
