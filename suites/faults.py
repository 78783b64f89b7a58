"""Commands that meet a fault go on to the result of one that met none, bit for bit.

    python suites/faults.py --dir /var/tmp/faults --minutes 8     # a part; the same command goes on
    python suites/faults.py --dir /var/tmp/faults --table > results/storm/faults.txt

Each command runs once undisturbed. Then it is begun in an empty folder, and meets one of four faults:

    kill    SIGKILL, with all that it started, at a random moment of its time, up to five times in a row
    full    its folder is a small disk, which is full when it has some of what it needs; then the disk grows
    two     two processes begin the same command in one folder at the same time
    clock   `time.time` jumps a day back and a year ahead, again and again, in it and in all that it starts

Then the same command is left to end. What it has found is held against the undisturbed one: all but seconds and what
says when and where. A file that is half written, a worktree or a process that is left is counted; so is a command that
says more than a line of its error, or none. `full` needs the right to mount.
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
OTHERS = 5
"""Each command meets every fault but a kill so often."""

ROOM_KIB = 64 << 10
JUMPING = """
import itertools, time

own, jumps = time.time, itertools.cycle((-86_400, 31_536_000, 0))
time.time = lambda: own() + next(jumps)
time.time_ns = lambda: int(1e9 * time.time())
"""
"""Python runs this before all else."""

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
    """Make what a command needs in an empty folder: for the gate a repository with a suite."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "gate":
        (folder / "bench_it.py").write_text(SUITE)
        (folder / "suite.toml").write_text('files = ["bench_it.py"]\nexpectations = "expected"\n')
        for words in ("init -q -b main", "add -A", "-c user.name=s -c user.email=s@example.org commit -qm one"):
            subprocess.run(["git", *words.split()], check=True, cwd=folder)
        status, _ = run(folder, "gate --update --suite suite.toml")
        assert status == 0, (folder.parent / "said").read_text()


def start(folder: Path, words: str, said: Path, more: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a command; what it says goes to a file."""
    temporary = folder.with_name(f"{folder.name}-tmp")
    temporary.mkdir(exist_ok=True)
    more = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), **(more or {})}
    with said.open("wb") as file:
        command = [sys.executable, "-m", "resbench", *words.split()]
        return subprocess.Popen(
            command, cwd=folder, env={**os.environ, **more}, stdout=file, stderr=file, start_new_session=True
        )


def run(folder: Path, words: str, kill_s: float | None = None) -> tuple[int, float]:
    """Run a command; after so many seconds kill it, and all in its group. Returns its status and seconds."""
    begun = time.monotonic()
    process = start(folder, words, folder.parent / "said")
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


def refusal(said: Path) -> str:
    """Return what is wrong with the way in which a command was refused: nothing, where a line says why."""
    lines = [line for line in said.read_text(errors="replace").splitlines() if line.strip()]
    if any(line.startswith("Traceback") or "resbench itself failed" in line for line in lines):
        return "a traceback"
    errors = [line for line in lines if line.startswith("resbench: ")]
    return "" if errors else f"no line of an error: {lines[-1:]}"


def halves(folder: Path) -> list[str]:
    """Name hidden files that were being written, and were not when the command had ended."""
    found = [path.relative_to(folder) for path in folder.rglob(".*.*") if ".git" not in path.parts and path.is_file()]
    return [str(path) for path in found if not path.name.endswith(".waiting")]


Row = dict[str, Any]


def killed(folder: Path, command: Command, took_s: float, draw: random.Random) -> Row:
    """Kill a command at random moments, then let it end."""
    kills = []
    for _ in range(IN_A_ROW):
        status, took = run(folder, command.words, draw.uniform(0.2, took_s))
        if status != -signal.SIGKILL:
            break
        kills.append(round(took, 2))
    return {"met": len(kills), "killed_s": kills}


def full(folder: Path, command: Command, took_s: float, draw: random.Random) -> Row:
    """Run a command on a disk that has room for a part of what it writes, then give it room."""
    kib = draw.randint(4, max(8, used_kib(folder.with_name(folder.name.replace("fault", "whole")))))
    subprocess.run(["mount", "-o", f"remount,size={max(kib, used_kib(folder) + 4)}k", str(folder)], check=True)
    status, _ = run(folder, command.words)
    wrong = refusal(folder.parent / "said") if status else ""
    subprocess.run(["mount", "-o", f"remount,size={ROOM_KIB}k", str(folder)], check=True)
    return {"met": int(status != 0), "kib": kib, "refused": status, "wrong": wrong if status in (0, 2) else f"{status}"}


def used_kib(folder: Path) -> int:
    """Return how much a folder holds, in KiB, in pages of 4."""
    return sum(4 * -(-path.stat().st_size // 4096) for path in folder.rglob("*") if path.is_file())


def two(folder: Path, command: Command, took_s: float, draw: random.Random) -> Row:
    """Begin a command twice: one of them may be told that another works there, in a line."""
    said = [folder.parent / f"said-{i}" for i in range(2)]
    running = [start(folder, command.words, path) for path in said]
    statuses = [process.wait() for process in running]
    wrong = [refusal(path) for path, status in zip(said, statuses, strict=True) if status]
    if 0 not in statuses or {*statuses} - {0, 2}:
        wrong.append(f"statuses {statuses}")
    return {"met": 1, "statuses": statuses, "wrong": "; ".join(filter(None, wrong))}


def clock(folder: Path, command: Command, took_s: float, draw: random.Random) -> Row:
    """Let the time of day jump whenever it is asked; clocks that nobody sets go on."""
    place = folder.parent / "jumping"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(JUMPING)
    process = start(folder, command.words, folder.parent / "said", {"PYTHONPATH": f"{place}{os.pathsep}{ROOT}"})
    status = process.wait()
    return {"met": 1, "wrong": "" if status == 0 else refusal(folder.parent / "said") or "refused"}


FAULTS: dict[str, Callable[[Path, Command, float, random.Random], Row]] = {
    "kill": killed,
    "full": full,
    "two": two,
    "clock": clock,
}


def part(options: argparse.Namespace) -> None:
    """Let each command meet each fault as often as is wanted, or until the minutes are up."""
    until = time.monotonic() + 60 * options.minutes
    rows = options.dir / "rows.jsonl"
    options.dir.mkdir(parents=True, exist_ok=True)
    there = [json.loads(row) for row in rows.open()] if rows.exists() else []
    draw = random.Random(f"{options.seed}.{len(there)}")
    for name, command in COMMANDS.items():
        whole, folder = options.dir / f"{name}-whole", options.dir / f"{name}-fault"
        for fault, meet in FAULTS.items():
            wanted = options.kills // len(COMMANDS) if fault == "kill" else OTHERS
            met = sum(
                row["met"] if fault == "kill" else 1 for row in there if (row["command"], row["fault"]) == (name, fault)
            )
            while met < wanted and time.monotonic() < until:
                if not (whole / "took").exists():
                    begin(whole, name)
                    status, seconds = run(whole, command.words)
                    assert status == 0, (options.dir / "said").read_text()
                    (whole / "took").write_text(str(seconds))
                row = {"command": name, "fault": fault, **one(folder, name, fault, meet, whole, draw)}
                met += row["met"] if fault == "kill" else 1
                with rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def one(folder: Path, name: str, fault: str, meet: Callable[..., Row], whole: Path, draw: random.Random) -> Row:
    """Let a command meet a fault, let it end, and hold what it found against what was found without."""
    command, said, left = COMMANDS[name], folder.parent / "said", folder.parent / "left"
    while os.path.ismount(folder):  # of a part that was killed
        subprocess.run(["umount", str(folder)], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    if fault == "full":
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_KIB}k", "tmpfs", str(folder)], check=True)
    begin(folder, name)
    row = meet(folder, command, float((whole / "took").read_text()), draw)
    status, _ = run(folder, command.words)
    row |= {"status": status, "halves": halves(folder), "left": left.exists()}
    left.unlink(missing_ok=True)
    row["equal"] = status == 0 and command.found(folder) == command.found(whole)
    if not row["equal"]:
        row["said"] = said.read_text()[-500:]
        shutil.rmtree(folder.with_name(f"{name}-odd"), ignore_errors=True)
        shutil.copytree(folder, folder.with_name(f"{name}-odd"), symlinks=True)
    if fault == "full":
        subprocess.run(["umount", str(folder)], check=True)
    return row


def table(folder: Path) -> None:
    """Print a line for each command and fault, and what went wrong."""
    rows = [json.loads(row) for row in (folder / "rows.jsonl").open()]
    print(
        f"{'command':14}{'fault':8}" + "".join(f"{w:>8}" for w in ("met", "ends", "equal", "halves", "left", "wrong"))
    )
    for name in COMMANDS:
        for fault in FAULTS:
            some = [row for row in rows if (row["command"], row["fault"]) == (name, fault)]
            met, equal = sum(row["met"] for row in some), sum(row["equal"] for row in some)
            bad = (sum(bool(row.get(what)) for row in some) for what in ("halves", "left", "wrong"))
            print(f"{name:14}{fault:8}" + "".join(f"{number:8}" for number in (met, len(some), equal, *bad)))
    for row in rows:
        if not row["equal"] or row["left"] or row["halves"] or row.get("wrong"):
            print(json.dumps(row)[:600])


def main() -> None:
    """Run a part, or print the table."""
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
