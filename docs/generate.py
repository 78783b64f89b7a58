"""Run the commands that README.md and docs/ show, and write what they print below them.

    python docs/generate.py           rewrite the pages
    python docs/generate.py --check   exit 1 and name the pages that are stale

A page shows a command as a ``console`` block whose first line is ``$ resbench ...``.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(```console\n\$ (resbench [^\n]*)\n)(.*?)(```)", re.DOTALL)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def output(command: str) -> str:
    """What the command prints into a pipe, 100 columns wide where it asks."""
    env = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, env=env)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def fresh(page: str) -> str:
    return BLOCK.sub(lambda match: match[1] + output(match[2]) + match[4], page)


def stale() -> list[Path]:
    return [page for page in pages() if fresh(page.read_text()) != page.read_text()]


def main() -> None:
    old = stale()
    if "--check" not in sys.argv:
        for page in old:
            page.write_text(fresh(page.read_text()))
    names = ", ".join(str(page.relative_to(ROOT)) for page in old)
    print(f"{'stale' if '--check' in sys.argv else 'rewritten'}: {names or 'none'}")
    sys.exit(bool(old) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
