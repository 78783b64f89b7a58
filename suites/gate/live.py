"""Live runs of the gate, the machine disturbed on purpose: the same code on both sides, or one benchmark made slower.

    python suites/gate/live.py --runs 20 --to results/gate/live                  same code: a finding is a false alarm
    python suites/gate/live.py --runs 20 --to results/gate/live --plant 0.05     +5 % in one benchmark, in turn

Both sides are copies of the commit that is checked out. Planted is wall time: after each piece of a sample the head's
process spins for a share of what it took. Beside it a hog runs on one core for a random time and rests for another
(exponential, 4 s each on average), unless --quiet. Every run is the command itself, in its own process; its raw file is
kept, and a run whose file is there is not run again. At the end all of them as a table.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulate import rate
from tabulate import tabulate

from resbench.files import write
from resbench.results import read

ROOT = Path(__file__).parents[2]

HOG = """
import random, sys, threading, time
threading.Thread(target=lambda: sys.stdin.read() or __import__("os")._exit(0), daemon=True).start()  # with its parent
while True:
    end = time.perf_counter() + random.expovariate(1 / 4)
    while time.perf_counter() < end:
        sum(range(1000))
    time.sleep(random.expovariate(1 / 4))
"""

PIECE = "benchmark.pedantic(often(work, runs), "

SLOWER = "benchmark.pedantic(_slower(often(work, runs), {share} if name == {name!r} else 0.0), "

SPIN = """

def _slower(piece, share):
    def slow():
        begin = time.perf_counter()
        piece()
        end = time.perf_counter()
        while time.perf_counter() < end + share * (end - begin):
            pass

    return slow
"""


@contextmanager
def hog(quiet: bool) -> Iterator[None]:
    """Something else that wants a core, now and then."""
    running = None if quiet else subprocess.Popen([sys.executable, "-c", HOG], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        if running:
            running.kill()
            running.wait()


def copied(folder: Path) -> None:
    """The commit that is checked out, in a folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def sides(folder: Path, name: str, share: float) -> None:
    """Two copies of the commit, the second slower in one benchmark."""
    for side in ("base", "head"):
        copied(folder / side)
    if share:
        plugin = folder / "head/resbench/regression/plugin.py"
        text = plugin.read_text()
        assert text.count(PIECE) == 1
        plugin.write_text(text.replace(PIECE, SLOWER.format(name=name, share=share)) + SPIN)


def run(path: Path, name: str, share: float, quiet: bool) -> None:
    """One run of the command; its raw file, with what was planted."""
    with tempfile.TemporaryDirectory() as temporary, hog(quiet):
        folder = Path(temporary)
        sides(folder, name, share)
        raw = folder / "raw.json"
        start = time.monotonic()
        command = [sys.executable, "-m", "resbench", "gate", "base", "head", "--raw", str(raw)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        wall_s = time.monotonic() - start
        if not raw.exists():
            raise SystemExit(f"{path.name}: {done.stderr.strip()}")
        document = json.loads(raw.read_text())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    document |= {
        "commit": commit.strip(),
        "planted": {"benchmark": name, "share": share},
        "hog": not quiet,
        "wall_s": wall_s,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, gzip.compress(json.dumps(document).encode(), mtime=0))


def benchmarks() -> list[str]:
    """Of the suite, as its expectations name them."""
    return list(json.loads((ROOT / "results/expectations/ci.json").read_text())["benchmarks"])


def summary(paths: list[Path]) -> str:
    """A row for each run, and the rates with exact 95 % bounds."""
    rows, verdicts, caught = [], [], []
    for path in paths:
        _, gate, document = read(path)
        planted, judged = document["planted"], gate.duel.judgement.benchmarks
        slow = [name for name, one in judged.items() if one.verdict == "REGRESSED"]
        verdicts.append(gate.verdict)
        caught.append(planted["benchmark"] in slow and gate.verdict == "REGRESSED")
        worst = max(one.detectable for one in judged.values())
        what = f"{planted['share']:+.0%} {planted['benchmark']}" if planted["share"] else "same code"
        rows.append([path.name, what, gate.verdict, ", ".join(slow), len(gate.duel.rounds), document["wall_s"], worst])
    table = tabulate(
        [[*row[:5], f"{row[5]:.0f}", f"{100 * row[6]:.1f}"] for row in rows],
        ["run", "head", "verdict", "slower", "rounds", "wall (s)", "worst MDE (%)"],
        disable_numparse=True,
    )
    n = len(rows)
    counts = [f"{verdict} {rate(verdicts.count(verdict), n)} % of {n}" for verdict in dict.fromkeys(verdicts)]
    counts += [f"planted and named {rate(sum(caught), n)} % of {n}"] if any("%" in row[1] for row in rows) else []
    return "\n".join([table, "", *counts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--to", type=Path, default=ROOT / "results/gate/live")
    parser.add_argument("--plant", type=float, default=0.0, metavar="SHARE", help="0.05 is +5 %%")
    parser.add_argument("--quiet", action="store_true", help="no hog")
    options = parser.parse_args()
    names = benchmarks()
    kind = (f"plus{options.plant * 100:g}" if options.plant else "same") + ("-quiet" if options.quiet else "")
    paths = [options.to / f"{kind}-{i:02}.json.gz" for i in range(options.runs)]
    for i, path in enumerate(paths):
        if not path.exists():
            print(f"{path.name} ...", file=sys.stderr, flush=True)
            run(path, names[i % len(names)], options.plant, options.quiet)
    print(summary(paths))


if __name__ == "__main__":
    main()
