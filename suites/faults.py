"""Commands that are killed at random moments go on to the result of one that nobody killed, bit for bit.

    python suites/faults.py --dir /var/tmp/faults --kills 100 --minutes 8     # a part; the same command goes on
    python suites/faults.py --dir /var/tmp/faults --table > results/storm/faults.txt

Each command runs once undisturbed. Then it is begun in an empty folder and killed (SIGKILL, with all that it started)
at a random moment of its time, up to five times in a row; then it is left to end. What it has found is held against
the undisturbed one: all but seconds and what says when and where. A file that is half written, a worktree or a
process that is left is counted.
"""

import argparse
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
IN_A_ROW = 5
TIMED = {"took_s", "machine", "versions", "environment", "made_with", "seconds", "at", "made", "earlier"}
"""Fields that say how long, when, where and by which call."""


class Command(NamedTuple):
    """A command that can be killed, and what it has found in its folder when it ended."""

    words: str
    found: Callable[[Path], Any]


def _document(path: Path) -> Any:
    """Read a stored result without its times."""
    data = path.read_bytes()
    return _untimed(json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data))


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untimed(one) for key, one in value.items() if key not in TIMED and not key.endswith("_s")}
    return [_untimed(one) for one in value] if isinstance(value, list) else value


def _rows(folder: Path) -> Any:
    import pandas

    rows = pandas.read_parquet(folder / "swept").drop(columns=["took_s", "machine", "versions"])
    return rows.sort_values([*rows.columns[:3]], ignore_index=True).to_json()


def _page(folder: Path) -> Any:
    """A page is whole: its end is there, and each network with each of its figures."""
    text = (folder / "page.html").read_text()
    return text.rstrip().endswith("</html>"), text.count("<svg"), text.count("<table")


COMMANDS = {
    "degradation": Command(
        "degradation plain8 resnet8 --epochs 3 --batch 64 --dir kept -o found.json",
        lambda folder: _document(folder / "found.json"),
    ),
    "sweep": Command(
        "sweep residual -n 40 --metrics gradient,error --limit macs=:5M --epochs 0.2 --processes 2 --dir swept", _rows
    ),
    "landscape": Command(
        "landscape plain8 resnet8 --epochs 0.5 --points 9 --images 64 --dir kept -o found.json",
        lambda folder: _document(folder / "found.json"),
    ),
    "gate": Command(
        "gate --counters --suite suite.toml -o found.json",
        lambda folder: (folder / "found.json").exists() and not [*(folder / ".git").glob("worktrees/*")],
    ),
    "report": Command("report plain8 resnet8 --parts cost,gradient -o page.html", _page),
}

SUITE = """
def test_net(resbench):
    resbench("resnet8")


def test_training(resbench):
    resbench("plain8", batch=4, mode="training")
"""


def begin(folder: Path, name: str) -> None:
    """Make an empty folder; for the gate a repository with a suite."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if name == "gate":
        (folder / "bench_it.py").write_text(SUITE)
        (folder / "suite.toml").write_text('files = ["bench_it.py"]\nexpectations = "expected"\n')
        for words in ("init -q -b main", "add -A", "-c user.name=s -c user.email=s@example.org commit -qm one"):
            subprocess.run(["git", *words.split()], check=True, cwd=folder)
        status, _ = run(folder, "gate --update --suite suite.toml", None)
        assert status == 0, (folder.parent / "said").read_text()


def run(folder: Path, words: str, kill_s: float | None) -> tuple[int, float]:
    """Run a command; after so many seconds kill it, and all in its group. Returns its status and seconds."""
    temporary = folder.with_name(f"{folder.name}-tmp")
    temporary.mkdir(exist_ok=True)
    more = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    begun = time.monotonic()
    with (folder.parent / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "resbench", *words.split()],
            cwd=folder,
            env={**os.environ, **more},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            status = process.wait(kill_s)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
    seconds = time.monotonic() - begun
    if status == -signal.SIGKILL:
        until = time.monotonic() + 5  # what it started ends by itself
        with suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(process.pid, 0)
                time.sleep(0.05)
            (folder.parent / "left").write_text(words)
            os.killpg(process.pid, signal.SIGKILL)
    return status, seconds


def halves(folder: Path) -> list[str]:
    """Name files that were being written, and were not when the command had ended."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*.tmp*") if ".git" not in path.parts]


def part(options: argparse.Namespace) -> None:
    """Kill until there are as many kills of each command as are wanted, or the minutes are up."""
    until = time.monotonic() + 60 * options.minutes
    rows = options.dir / "rows.jsonl"
    options.dir.mkdir(parents=True, exist_ok=True)
    there = [json.loads(row) for row in rows.open()] if rows.exists() else []
    draw = random.Random(f"{options.seed}.{len(there)}")
    wanted = options.kills // len(COMMANDS)
    for name, command in COMMANDS.items():
        killed = sum(len(row["killed_s"]) for row in there if row["command"] == name)
        whole = options.dir / f"{name}-whole"
        if killed < wanted and not (whole / "took").exists() and time.monotonic() < until:
            begin(whole, name)
            status, seconds = run(whole, command.words, None)
            assert status == 0, (options.dir / "said").read_text()
            (whole / "took").write_text(str(seconds))
        while killed < wanted and time.monotonic() < until:
            seconds, folder = float((whole / "took").read_text()), options.dir / f"{name}-killed"
            begin(folder, name)
            kills = []
            for _ in range(min(IN_A_ROW, wanted - killed)):
                status, took = run(folder, command.words, draw.uniform(0.2, seconds))
                if status != -signal.SIGKILL:
                    break
                kills.append(round(took, 2))
            status, _ = run(folder, command.words, None)
            row = {"command": name, "killed_s": kills, "status": status, "halves": halves(folder)}
            row["left"] = (options.dir / "left").exists()
            (options.dir / "left").unlink(missing_ok=True)
            row["equal"] = status == 0 and command.found(folder) == command.found(whole)
            if not row["equal"]:
                row["said"] = (options.dir / "said").read_text()[-500:]
                shutil.rmtree(options.dir / f"{name}-odd", ignore_errors=True)
                shutil.copytree(folder, options.dir / f"{name}-odd", symlinks=True)
            killed += len(kills)
            with rows.open("a") as file:
                file.write(json.dumps(row) + "\n")


def table(folder: Path) -> None:
    """Print a line for each command."""
    rows = [json.loads(row) for row in (folder / "rows.jsonl").open()]
    print(f"{'command':14}{'kills':>8}{'ends':>8}{'equal':>8}{'halves':>8}{'left':>8}")
    for name in COMMANDS:
        some = [row for row in rows if row["command"] == name]
        kills, equal = sum(len(row["killed_s"]) for row in some), sum(row["equal"] for row in some)
        numbers = (kills, len(some), equal, sum(bool(row["halves"]) for row in some), sum(row["left"] for row in some))
        print(f"{name:14}" + "".join(f"{number:8}" for number in numbers))
    for row in rows:
        if not row["equal"] or row["left"] or row["halves"]:
            print(json.dumps(row)[:600])


def main() -> None:
    """Kill, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=100, help="of all commands together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=8.0, help="of a part")
    parser.add_argument("--table", action="store_true", help="print what there is")
    options = parser.parse_args()
    if not options.table:
        part(options)
    table(options.dir)


if __name__ == "__main__":
    main()
