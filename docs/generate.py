"""Run the commands that README.md and docs/ show, and write what they print below them.

    python docs/generate.py           rewrite the pages
    python docs/generate.py --check   exit 1 and name the pages that are stale

A page shows a command as a ``console`` block whose first line is ``$ resbench ...``, and the tree of files as a
``text`` block whose first line is ``resbench/``: of each file it says what its docstring begins with.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(```console\n\$ (resbench [^\n]*)\n)(.*?)(```)", re.DOTALL)
TREE = re.compile(r"(```text\nresbench/\n)(.*?)(```)", re.DOTALL)
NOTE = 88
"""Characters of a docstring that the tree shows at most."""


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def output(command: str) -> str:
    """What the command prints into a pipe, 100 columns wide where it asks."""
    env = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, env=env)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def tree(folder: Path, depth: int = 1) -> str:
    """Every file below a folder with the beginning of its docstring, a package with that of its ``__init__.py``."""
    lines = ""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        package = path / "__init__.py"
        if path.name == "__init__.py" and depth > 1:
            continue
        if path.suffix == ".py":
            lines += line(path, path.name, depth)
        elif package.is_file():
            lines += line(package, f"{path.name}/", depth) + tree(path, depth + 1)
    return lines


def line(file: Path, name: str, depth: int) -> str:
    said = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
    note = said if len(said) <= NOTE else said[: said.rindex(" ", 0, NOTE)] + " ..."
    return f"{'  ' * depth}{name}".ljust(26) + f"{note}\n"


def fresh(page: str) -> str:
    page = BLOCK.sub(lambda match: match[1] + output(match[2]) + match[4], page)
    return TREE.sub(lambda match: match[1] + tree(ROOT / "resbench") + match[3], page)


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
