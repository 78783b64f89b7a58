"""A project's ``addopts`` stay under the gate, without what chooses, repeats, spreads out or reports tests.

>>> kept(["--import-mode=importlib", "-m", "not slow", "--size", "8", "-x", "--benchmark-json=out.json", "-nauto"])
['--import-mode=importlib', '--size', '8']
"""

import shlex
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FLAGS = """
-x --exitfirst --lf --last-failed --ff --failed-first --nf --new-first --cache-clear --sw --stepwise --stepwise-skip
--stepwise-reset --pdb --trace --collect-only --co --doctest-modules --forked --boxed -f --looponfail -d
--cov-append --cov-branch --cov-reset --no-cov --no-cov-on-fail --self-contained-html
--timeout-disable-debugger-detection
--randomly-dont-reset-seed --randomly-dont-shuffle-modules --randomly-dont-reorganize
--benchmark-enable --benchmark-disable --benchmark-only --benchmark-skip --benchmark-autosave --benchmark-save-data
""".split()
"""These options of pytest and of its best known plugins take no value."""

VALUED = """
-m -k --maxfail --lfnf --last-failed-no-failures --deselect --junitxml --junit-xml --junitprefix --html --report-log
--doctest-glob --durations --durations-min -n --numprocesses --maxprocesses --max-worker-restart --dist --tx
--cov-report --cov-config --cov-fail-under --cov-context --timeout --timeout-method --session-timeout --randomly-seed
--reruns --reruns-delay --benchmark-json --benchmark-save --benchmark-storage --benchmark-cprofile
""".split()
"""These take one."""

PERHAPS = "--cov --benchmark-compare --benchmark-histogram".split()
"""These may take one."""

SEVERAL = ("--benchmark-compare-fail",)
"""It takes one or more."""


def kept(words: Sequence[str]) -> list[str]:
    """Return the options that decide how files are imported and what the project's own fixtures do."""
    left_out = ArgumentParser(add_help=False, allow_abbrev=False, argument_default=SUPPRESS)
    for options, more in ((FLAGS, {"action": "store_true"}), (VALUED, {}), (PERHAPS, {"nargs": "?"})):
        for option in options:
            left_out.add_argument(option, **more)  # type: ignore[arg-type]
    for option in SEVERAL:
        left_out.add_argument(option, nargs="+")
    return left_out.parse_known_args(list(words))[1]


def addopts(folder: Path, files: Sequence[str]) -> str:
    """Return what pytest, started in a folder with these files, should take for the ``addopts`` of its configuration.

    It is pytest that looks for the configuration, whichever of its files holds it.
    """
    from _pytest.config.findpaths import locate_config

    given = [folder / file for file in files]
    try:
        configuration = locate_config(folder, given)[2]
    except TypeError:  # pytest before 8.2
        configuration = locate_config(given)[2]  # type: ignore[call-arg, arg-type]
    found: Any = configuration.get("addopts", "")
    value = getattr(found, "value", found)  # since pytest 9
    return shlex.join(kept(shlex.split(value) if isinstance(value, str) else [str(word) for word in value]))
