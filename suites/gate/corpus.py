"""Planted defects: how many the gate's counters see, how many other tools see, and how often each cries wolf.

    python suites/gate/corpus.py --raw FILE               every defect through `resbench gate --counters`
    python suites/gate/corpus.py --raw FILE --noop 300    and 300 reruns in which nothing got worse
    python suites/gate/corpus.py --raw FILE --tools       and all of it through tools that read a clock
    python suites/gate/corpus.py --raw FILE --table       only the tables of what FILE holds

Each verdict is a command in a fresh process on a fresh copy of victim/ with one edit of defects.toml. What is done is
appended to FILE, one JSON object a line (gzipped if so named); the same command goes on where it was stopped, at the
latest after --seconds.

The tools: pytest-benchmark's --benchmark-compare-fail=median:10% against a run of the clean victim; on the samples of
these same runs, the rule of `asv compare` (asv's own functions; `pip install --target DIR asv`, then --asv DIR), and
a one-sided Mann-Whitney U test at 1 % for each benchmark.
"""

import argparse
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from corpus_tables import by_base, by_defect, summary, verdicts

from resbench.codec import encoded
from resbench.tables import render
from resbench.workers.environment import environment

HERE = Path(__file__).parent
GATE = [str(Path(sys.executable).with_name("resbench")), "gate", "--suite", "ci.toml"]
CLEAN = {"kind": "noops", "what": "nothing", "seen": ""}
TIMEOUT_S = 600

# The clock's tools get the victim's benchmarks without the counting, which would be on their time.
CONFTEST = """
import pytest
from resbench.workers.workload import Setup, Workload

@pytest.fixture
def resbench(benchmark):
    def run(model, input, **setup):
        batch = input[0] if isinstance(input[0], int) else len(input[0])
        work = Workload(model, input, Setup(batch=batch, threads=1, **setup))
        with work.ready():
            benchmark(work.run)

    return run
"""


def edits():
    """Every edit by name; each text to be replaced has to be there once."""
    found = {"clean": CLEAN}
    for kind, entries in tomllib.loads((HERE / "defects.toml").read_text()).items():
        for name, entry in entries.items():
            file = entry.get("file", "model.py")
            times = (HERE / "victim" / file).read_text().count(entry["old"])
            if times != 1 or name in found:
                raise SystemExit(f"{name}: expected a new name, and its text once in {file}; it is there {times} times")
            found[name] = {"kind": kind, "file": file, "seen": "", **entry}
    return found


def copied(folder, edit=CLEAN):
    """The victim, with an edit, in a folder."""
    shutil.copytree(HERE / "victim", folder, ignore=shutil.ignore_patterns("__pycache__", "expectations"))
    if "old" in edit:
        file = folder / edit["file"]
        file.write_text(file.read_text().replace(edit["old"], edit["new"]))
    return folder


def run(command, folder, **more):
    """Exit status, seconds of wall time, stdout, stderr."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return done.returncode, time.perf_counter() - start, done.stdout, done.stderr


class Raw:
    """What is done, in a file that only grows."""

    def __init__(self, path):
        self.path, self.entries = path, []
        self.open = gzip.open if path.suffix == ".gz" else open
        try:
            with self.open(path, "rt") as file:
                self.entries.extend(json.loads(line) for line in file)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (ValueError, EOFError):  # killed while it wrote
            with self.open(path, "wt") as file:
                file.writelines(json.dumps(entry) + "\n" for entry in self.entries)

    def add(self, **entry):
        self.entries.append(entry)
        with self.open(self.path, "at") as file:
            file.write(json.dumps(entry) + "\n")

    def of(self, part):
        return [entry for entry in self.entries if entry["part"] == part]

    def once(self, part, make):
        """What every verdict of a file shares: made the first time."""
        if not self.of(part):
            self.add(part=part, **make())
        return self.of(part)[0]


def corpus():
    """Which corpus a file is of."""
    files = [HERE / "defects.toml", *sorted((HERE / "victim").glob("*.[pt]*"))]
    here = environment()
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    return {"digest": digest, "note": here.note, "environment": encoded(here)}


def expectations():
    """The clean victim's counters, as `resbench gate --update` writes them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = copied(Path(temporary) / "victim")
        status, _, out, err = run([*GATE, "--update"], folder)
        if status:
            raise SystemExit(f"the clean victim has no counters: {out}{err}")
        (file,) = (folder / "expectations").iterdir()
        return {"name": file.name, "text": file.read_text()}


def counted(edit, shared, folder):
    """What the counters say of an edit, and what they name."""
    copied(folder, edit)
    (folder / "expectations").mkdir()
    (folder / "expectations" / shared["name"]).write_text(shared["text"])
    status, seconds, out, err = run([*GATE, "--counters", "--format", "json"], folder)
    changes = [list(change.values()) for change in json.loads(out)["changes"]] if status in (0, 1) else []
    return {"status": status, "seconds": seconds, "changes": changes, "said": err[-500:]}


def timed(edit, shared, folder):
    """A run of pytest-benchmark, held against a stored one unless there is none yet; and its samples in ns."""
    copied(folder, edit)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "base.json").write_text(json.dumps(shared and shared["run"]))
    held = ["--benchmark-compare=base.json", "--benchmark-compare-fail=median:10%"] if shared else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "bench_model.py", "--benchmark-enable"]
    status, seconds, out, err = run([*command, "--benchmark-json=run.json", *held], folder, OMP_NUM_THREADS="1")
    regressed = "Performance has regressed" in out + err
    if not (folder / "run.json").exists():
        return {"status": 2, "seconds": seconds, "samples": {}, "said": (out + err)[-500:]}
    written = json.loads((folder / "run.json").read_text())
    samples = {b["name"]: [round(1e9 * s) for s in b["stats"]["data"]] for b in written["benchmarks"]}
    entry = {"status": int(regressed) if regressed or not status else 2, "seconds": seconds, "samples": samples}
    return entry if shared else {"run": written, **entry}


def baseline():
    """The stored run of the clean victim."""
    with tempfile.TemporaryDirectory() as temporary:
        return timed(CLEAN, None, Path(temporary) / "victim")


def noops(known, number):
    """The clean victim and the edits that change nothing, in turn."""
    names = [name for name, edit in known.items() if edit["kind"] == "noops"]
    return [(names[i % len(names)], i) for i in range(number)]


def judged(raw, part, verdict, shared, items, known, until):
    """Do what is not done yet. False where the time was up."""
    done = {(entry["name"], entry["index"]) for entry in raw.of(part)}
    for i, (name, index) in enumerate(items, 1):
        if (name, index) in done:
            continue
        if time.monotonic() > until:
            print(f"{part}: time is up before {i} of {len(items)}; the same command goes on", file=sys.stderr)
            return False
        with tempfile.TemporaryDirectory() as temporary:
            entry = verdict(known[name], shared, Path(temporary) / "victim")
        raw.add(part=part, name=name, index=index, **entry)
        word = ("quiet", "ALARM", "BROKEN")[min(entry["status"], 2)]
        print(f"{part} {i} of {len(items)}: {name}: {word}, {entry['seconds']:.1f} s", file=sys.stderr)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, metavar="FILE", help="every verdict, a JSON object a line")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these edits alone")
    parser.add_argument("--noop", type=int, default=0, metavar="N", help="reruns of the counters without a defect")
    parser.add_argument("--tools", action="store_true", help="the tools that time, too")
    parser.add_argument("--tool-noop", type=int, default=42, metavar="N", help="their runs without one (%(default)s)")
    parser.add_argument("--asv", metavar="DIR", help="where asv is installed, if not here")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    known, raw = edits(), Raw(options.raw)
    if not options.table:
        if raw.once("corpus", corpus)["digest"] != corpus()["digest"]:
            raise SystemExit(f"{options.raw} is of another victim or other defects: name another file")
        planted = [(name, 0) for name, edit in known.items() if edit["kind"] == "defects"]
        counters = [item for item in [*planted, *noops(known, options.noop)] if item[0] in (options.only or known)]
        finished = judged(raw, "counters", counted, raw.once("expectations", expectations), counters, known, until)
        if finished and options.tools:
            clocks = [*planted, *noops(known, options.tool_noop)]
            random.Random(0).shuffle(clocks)  # a machine that slows down slows both kinds
            clocks = [item for item in clocks if item[0] in (options.only or known)]
            judged(raw, "clocks", timed, raw.once("baseline", baseline), clocks, known, until)
    found = verdicts(raw, options.asv)
    tables = summary(found, known, raw), by_base(known, raw, options.asv), by_defect(found, known, raw)
    print(*(render(table, "table") for table in tables if table.rows), sep="\n\n")


if __name__ == "__main__":
    main()
