"""What a user does first, with other versions of Python and torch: which of it works.

    python suites/support.py --dir /var/tmp/support --python python3.13 torch==2.13.0
    python suites/support.py --dir /var/tmp/support --python python3.11 --oldest torch==2.6.0
    python suites/support.py --dir /var/tmp/support --table > results/cpu/support.txt

Makes an environment of its own for each (gigabytes where torch brings CUDA), with the wheel of this checkout in it and
the other packages as `constraints.txt` pins them; with ``--oldest`` each is the oldest that `pyproject.toml` names,
with ``--newest`` the newest that pip finds. Then the commands run one after the other in an empty folder. The
environment is removed, and a row is kept.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "doctor",
    "flops resnet50 plain34 --verify",
    "gradflow plain20 resnet20 --steps 0 --seeds 1",
    "latency resnet20 --processes 2 --threads 1",
    "degradation plain20 resnet20 --epochs 0.5",
    "landscape plain20 resnet20 --epochs 0.5 --points 5 --images 64",
    "report plain20 resnet20 --parts cost,gradient",
)
SHOWN = ("torch", "numpy", "pandas", "typer", "scipy", "altair", "rich")
LIMIT_S = 600


def oldest() -> list[str]:
    """Return the oldest releases that `pyproject.toml` allows, of what it needs itself."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = []
    for need in map(Requirement, needs):
        if need.name != "torch":
            command = [sys.executable, "-m", "pip", "index", "versions", need.name]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            [listed] = (line for line in said.splitlines() if line.startswith("Available versions: "))
            releases = map(Version, listed.removeprefix("Available versions: ").split(", "))
            found.append(f"{need.name}=={min(need.specifier.filter(releases))}")
    return found


def installed(folder: Path, options: argparse.Namespace) -> Path:
    """Make the environment. Returns its Python."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([options.python, "-m", "venv", folder / "env"], check=True)
    python, wheels = folder / "env/bin/python", folder / "wheels"
    pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", wheels, ROOT], check=True)
    others: list[str] = oldest() if options.oldest else []
    pins = []
    if not (options.oldest or options.newest):
        kept = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("torch==")]
        (folder / "constraints.txt").write_text("\n".join(kept))
        pins = ["-c", str(folder / "constraints.txt")]
    subprocess.run([*pip, "install", *pins, *options.packages, *others, *wheels.glob("*.whl")], check=True)
    return python


def versions(python: Path) -> dict[str, str]:
    """Return the releases that are there."""
    code = f"from importlib.metadata import version as v; import json; print(json.dumps({{n: v(n) for n in {SHOWN}}}))"
    said = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
    return dict(json.loads(said))


def ran(python: Path, words: str, folder: Path) -> dict[str, Any]:
    """Run a command, and keep its status, seconds, and the last line where it failed."""
    folder.mkdir(exist_ok=True)
    begun = time.monotonic()
    done = subprocess.run(
        [python, "-m", "resbench", *words.split()],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    seconds = round(time.monotonic() - begun, 1)
    return {"status": done.returncode, "seconds": seconds, "said": last[0][:200] if done.returncode and last else ""}


def table(rows: list[dict[str, Any]]) -> None:
    """Print a line for each environment, and for each command that failed."""
    print(f"{'Python':9}{'packages':14}" + "".join(f"{name:>14}" for name in SHOWN) + "   commands")
    for row in rows:
        found = row["commands"]
        good = sum(one["status"] == 0 for one in found.values())
        releases = "".join(f"{row['versions'][name].removesuffix('+cpu'):>14}" for name in SHOWN)
        print(f"{row['python']:9}{row['packages']:14}{releases}   {good} of {len(found)}")
        for words, one in found.items():
            if one["status"]:
                print(f"    {words}: status {one['status']}: {one['said']}")


def main() -> None:
    """Run in one environment, or print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", help="such as torch==2.13.0")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--oldest", action="store_true")
    parser.add_argument("--newest", action="store_true")
    parser.add_argument("--keep", action="store_true", help="the environment")
    parser.add_argument("--table", action="store_true", help="print what there is")
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)  # a checkout in it would do for an installed one
    options.dir.mkdir(parents=True, exist_ok=True)
    kept = options.dir / "rows.jsonl"
    if not options.table:
        folder = options.dir / "now"
        python = installed(folder, options)
        said = subprocess.run([python, "-V"], check=True, capture_output=True, text=True).stdout
        packages = "oldest" if options.oldest else "newest" if options.newest else "constraints"
        row = {"python": said.split()[1], "packages": packages, "versions": versions(python)}
        row["commands"] = {words: ran(python, words, folder / "work") for words in COMMANDS}
        with kept.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if not options.keep:
            shutil.rmtree(folder)
    table([json.loads(line) for line in kept.open()])


if __name__ == "__main__":
    main()
