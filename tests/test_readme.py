"""What the pages show is what the commands print today."""

import re
import subprocess
from pathlib import Path

import ready

ROOT = Path(__file__).parents[1]


def test_readme_and_docs_show_what_the_commands_print():
    command = [ready.python(), str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run `make readme`"


def test_every_command_is_documented():
    from resbench.cli.commands import COMMANDS

    page = (ROOT / "docs" / "commands.md").read_text()
    for command in COMMANDS:
        assert f"$ resbench {command} --help" in page


def test_the_readmes_python_runs():
    page = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
