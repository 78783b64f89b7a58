"""A sweep on two nodes of Ray on one machine, killed at random, against the same sweep in one process.

    python suites/cluster.py --kills 30 > results/cpu/cluster.txt

A head node and a second one, each of one core, answer the cells of a sweep. At random moments a worker, the second node
or the driver is killed; a node that was killed is started again, and the same command goes on. At the end every row is
held against that of a sweep in one process: all columns but the seconds that a cell took and those that say where.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas

PORT = 26379
SPACE = """
[[networks]]
model = "resnet{depth}"
depth = { from = 8, to = 32, step = 6 }
order = ["original", "full-preact"]
input = "3x8x8"

[[networks]]
model = "plain{depth}"
depth = { from = 8, to = 32, step = 6 }
width = [1, 2]
input = "3x8x8"
"""
METRICS = "gradient,gradnorm,error"
WHERE = ["took_s", "machine", "versions"]

NODE = ("--num-cpus=1", "--memory=3000000000", "--object-store-memory=80000000")

RAY = str(Path(sys.executable).parent / "ray")
ENVIRONMENT = {**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}


def ray(*words: str) -> None:
    """Run a command of Ray, quietly."""
    subprocess.run([RAY, *words], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def begin_node() -> None:
    """Start the second node."""
    ray("start", f"--address=127.0.0.1:{PORT}", *NODE)


def processes(word: str) -> list[int]:
    """Find processes by a word of their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in text:
            found.append(int(path.parent.name))
    return sorted(found)


def kill(pid: int) -> None:
    """Kill a process, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Kill until so many kills are done, then finish, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, kills = random.Random(given.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder, "mine.toml")
        space.write_text(SPACE)
        words = [sys.executable, "-m", "resbench", "sweep", str(space), "--grid", "--metrics", METRICS, "--epochs", "2"]
        words += ["--seeds", "3", "--dir"]
        ray("stop", "--force")
        ray(
            "start", "--head", f"--port={PORT}", "--num-cpus=1", "--memory=3000000000", "--object-store-memory=80000000"
        )
        begin_node()
        begun = time.monotonic()
        while True:
            driver = subprocess.Popen(
                [*words, f"{folder}/ray", "--ray", f"127.0.0.1:{PORT}"],
                env=ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            while driver.poll() is None and kills.total() < given.kills:
                time.sleep(chance.uniform(2, 9))
                what = chance.choice(["worker", "worker", "node", "driver"])
                workers = [pid for pid in processes("ray::") if pid != driver.pid]
                if what == "worker" and workers:
                    kill(chance.choice(workers))
                elif what == "node" and len(nodes := processes("raylet/raylet")) > 1:
                    kill(nodes[-1])
                    time.sleep(1)
                    begin_node()
                elif what == "driver":
                    kill(driver.pid)
                else:
                    continue
                kills[what] += 1
            said = driver.communicate()[1].decode()
            if driver.returncode == 0:
                break
            if driver.returncode != -signal.SIGKILL:
                sys.exit(f"status {driver.returncode}: {said[-500:]}")
        took = time.monotonic() - begun
        ray("stop", "--force")
        subprocess.run([*words, f"{folder}/one"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        one, two = (
            pandas.read_parquet(f"{folder}/{name}").sort_values("key").drop(columns=WHERE).reset_index(drop=True)
            for name in ("one", "ray")
        )
    twice = int(two["key"].duplicated().sum())
    lost = len(set(one["key"]) - set(two["key"]))
    failed = int(two["failed"].notna().sum())
    for reason, count in Counter(two["failed"].dropna()).items():
        print(f"{count} failed: {reason}")
    equal = not twice and not lost and one.equals(two)
    print(
        f"{kills.total()} kills in {took:.0f} s: " + ", ".join(f"{n} of a {what}" for what, n in sorted(kills.items()))
    )
    print(f"{len(two)} rows: {lost} lost, {twice} twice, {failed} failed; equal to those of one process: {equal}")


if __name__ == "__main__":
    main()
