"""A sweep on two nodes of Ray on one machine, killed at random, against the same sweep in one process.

    python suites/cluster.py --kills 30 --dir /tmp/killed > results/cpu/cluster.txt

A head node and a second one, each of one core, answer the cells of a sweep. At random moments a worker, the second node
or the driver is killed; a node that was killed is started again, and the same command goes on. The sweep is as long as
the kills need: where it is done and kills are left, it goes on with one more seed of every cell. With ``--dir`` the
suite goes on where it was, too. At the end every row is held against that of a sweep in one process: all columns but
the seconds that a cell took and those that say where.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas

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
MARK = "RESBENCH_KILLED"
"""What this suite starts has its number under this name in the environment: no other process is ever killed."""

ENVIRONMENT = {**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", MARK: str(os.getpid())}


def free_port() -> int:
    """Find a port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def begin_node(*words: str) -> None:
    """Start a node of Ray."""
    subprocess.run([RAY, "start", *words, *NODE], env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)


def processes(word: str = "") -> list[int]:
    """Find processes of this suite by a word of their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            text = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            own = f"{MARK}={os.getpid()}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if word in text and own:
                found.append(int(folder.name))
    return sorted(found)


def kill(pid: int) -> None:
    """Kill a process, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def strike(chance: random.Random, driver: int, address: str) -> str:
    """Kill a worker, the second node or the driver, and say which; nothing where there is none."""
    what = chance.choice(["worker", "worker", "node", "driver"])
    workers = [pid for pid in processes("ray::") if pid != driver]
    if what == "worker" and workers:
        kill(chance.choice(workers))
    elif what == "node" and len(nodes := processes("raylet/raylet")) > 1:
        kill(nodes[-1])
        time.sleep(1)
        begin_node(f"--address={address}")
    elif what == "driver":
        kill(driver)
    else:
        return ""
    return what


def answer(words: Sequence[str], address: str, kills: Path, most: int, chance: random.Random) -> None:
    """Run a sweep to its end, however often its driver is killed; each kill is a line of a file."""
    while True:
        driver = subprocess.Popen(
            [*words, "--ray", address], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while driver.poll() is None and len(kills.read_text().split()) < most:
            time.sleep(chance.uniform(2, 9))
            if driver.poll() is None and (what := strike(chance, driver.pid, address)):
                with kills.open("a") as log:
                    log.write(f"{what}\n")
        said = driver.communicate()[1]
        if driver.returncode == 0:
            return
        if driver.returncode != -signal.SIGKILL:
            sys.exit(f"status {driver.returncode}: {said[-500:]}")


def killed(folder: Path, most: int, seed: int) -> None:
    """Sweep until so many kills are done, then once in one process, and compare."""
    space, kills = folder / "mine.toml", folder / "kills.txt"
    space.write_text(SPACE)
    kills.touch()
    done = len(kills.read_text().split())
    chance, begun, seeds = random.Random(seed + done), time.monotonic(), 0
    words = [sys.executable, "-m", "resbench", "sweep", str(space), "--grid", "--metrics", METRICS, "--epochs", "2"]
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as session:
        try:
            head = f"--port={address.rpartition(':')[2]}", f"--temp-dir={session}", "--include-dashboard=false"
            begin_node("--head", *head)
            begin_node(f"--address={address}")
            while not seeds or len(kills.read_text().split()) < most:
                seeds += 1
                answer([*words, "--seeds", str(seeds), "--dir", f"{folder}/ray"], address, kills, most, chance)
        finally:
            for pid in processes():
                kill(pid)
    took = time.monotonic() - begun
    alone = [*words, "--seeds", str(seeds), "--dir", f"{folder}/one"]
    subprocess.run(alone, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    counts = Counter(kills.read_text().split())
    told = ", ".join(f"{n} of a {what}" for what, n in sorted(counts.items()))
    print(f"{counts.total()} kills: {told}; {counts.total() - done} of them now")
    print(f"{took:.0f} s on the cluster; {seeds} seeds of a cell")
    compare(folder)


def compare(folder: Path) -> None:
    """Hold every row against that of one process."""
    one, two = (
        pandas.read_parquet(folder / name).sort_values("key").drop(columns=WHERE).reset_index(drop=True)
        for name in ("one", "ray")
    )
    for reason, count in Counter(two["failed"].dropna()).items():
        print(f"{count} failed: {reason}")
    twice, failed = int(two["key"].duplicated().sum()), int(two["failed"].notna().sum())
    lost = len(set(one["key"]) - set(two["key"]))
    equal = not twice and not lost and one.equals(two)
    print(f"{len(two)} rows: {lost} lost, {twice} twice, {failed} failed; equal to those of one process: {equal}")


def main() -> None:
    """Read the command line, and kill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", type=Path, help="Rows and kills are kept here, and the same command goes on.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as other:
        folder = given.dir or Path(other)
        folder.mkdir(parents=True, exist_ok=True)
        killed(folder, given.kills, given.seed)


if __name__ == "__main__":
    main()
