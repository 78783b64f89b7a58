"""A storm of command lines over all commands and options: none may end in a traceback, lose a file or leave one.

    python suites/storm.py --dir /var/tmp/storm --minutes 8        # a part; the same command goes on where it was
    python suites/storm.py --dir /var/tmp/storm --table > results/storm/lines.txt

A line is drawn from a seed (``storm_lines.py``) and runs in a copy of a small folder (``storm_world.py``), every fifth
in a fresh process, the others forked from one that has imported everything; of these one that ends wrongly runs again
in a fresh process, whose end counts. Rows are kept by the hash of ``resbench/``: a table is of one state of it. Of a
line that ends wrongly words are left out as long as it still does.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from storm_host import Host, parser, ready, state
from storm_lines import Line, line

FRESH = 5
"""One line of so many runs in a fresh process."""


def parsed(words: tuple[str, ...]) -> bool:
    """Tell whether a line comes past the reading of its arguments."""
    from resbench.cli.commands import COMMANDS, Later

    if words[0] not in COMMANDS or {"--help", "-h", "--version"} & {*words}:
        return False
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            Later(words[0]).make_context(words[0], [word for word in words[1:] if word != "--debug"])
    except BaseException:
        return False
    return True


def shortest(host: Host, drawn: Line, complaint: str) -> Line:
    """Leave words out, an option with its value first, as long as the same complaint comes."""
    kind = complaint.split(":")[0]
    found, at = drawn, len(drawn.words) - 1
    while at > 0:
        for count in (2, 1):
            words = found.words[:at] + found.words[at + count :]
            tried = found._replace(words=words)
            if len(words) > 1 and any(c.split(":")[0] == kind for c in host.run(tried, True).complaints):
                found = tried
                break
        at -= 1
    return found


def storm(options: argparse.Namespace, folder: Path, which: int) -> None:
    """Run this host's share of the lines that are not yet there, until the time is up."""
    until = time.monotonic() + 60 * options.minutes
    path = folder / f"rows-{which}.jsonl"
    there = {json.loads(row)["number"] for file in folder.glob("rows-*.jsonl") for row in file.open()}
    host = Host(folder / f"host-{which}", folder / "world")
    shrunk: Counter[str] = Counter()
    with path.open("a") as rows:
        for number in range(options.first + which, options.lines, options.hosts):
            if time.monotonic() > until:
                return
            if number in there:
                continue
            drawn, fresh = line(options.seed, number), number % FRESH == 0
            ended = host.run(drawn, fresh)
            if ended.complaints and not fresh:  # what counts is a process of its own
                ended, fresh = host.run(drawn, True), True
            row: dict[str, Any] = {"number": number, "words": drawn.words, "fresh": fresh, "status": ended.status}
            row |= {"parsed": parsed(drawn.words), "seconds": round(ended.seconds, 2), "complaints": ended.complaints}
            row |= {"output": drawn.output, "interrupted_s": drawn.interrupted_s, "taken_away_s": drawn.taken_away_s}
            if ended.complaints:
                row["said"] = ended.said[-600:]
                kind = ended.complaints[0].split(":")[0]
                shrunk[kind] += 1
                if shrunk[kind] <= 2 and ended.status is not None:
                    row["shortest"] = shortest(host, drawn, ended.complaints[0]).words
            rows.write(json.dumps(row) + "\n")
            rows.flush()


def table(options: argparse.Namespace, folder: Path) -> None:
    """Print a line for each command, and each line that ended wrongly."""
    import shlex

    rows = [json.loads(row) for file in sorted(folder.glob("rows-*.jsonl")) for row in file.open()]
    of: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        of[row["words"][0]].append(row)
    print(f"resbench/ {folder.name}, seed {options.seed}, {len(rows):,} lines of {options.lines:,}")
    columns = ("lines", "fresh", "exit 0", "1", "2", "130", "else", "at parsing", "wrong", "median s")
    print(f"{'command':14}" + "".join(f"{column:>11}" for column in columns))
    for name, some in [*sorted(of.items()), ("all", rows)]:
        statuses = Counter(row["status"] for row in some)
        known = [statuses.pop(status, 0) for status in (0, 1, 2, 130)]
        stopped = sum(not row["parsed"] for row in some) / len(some)
        wrong = sum(bool(row["complaints"]) for row in some)
        seconds = sorted(row["seconds"] for row in some)[len(some) // 2]
        numbers = [len(some), sum(row["fresh"] for row in some), *known, sum(statuses.values())]
        print(f"{name:14}" + "".join(f"{n:11,}" for n in numbers) + f"{stopped:11.1%}{wrong:11,}{seconds:11.2f}")
    for row in sorted(rows, key=lambda row: row["number"]):
        if row["complaints"]:
            print(f"\n{row['number']}: resbench {shlex.join(row.get('shortest', row['words']))[:300]}")
            print(f"    {'; '.join(row['complaints'])[:300]}")
            print(f"    {row['said'].strip().splitlines()[-1][:200] if row['said'].strip() else ''}")


def main() -> None:
    """Run a part, or print the table."""
    reading = parser(__doc__, "lines", 10_000)
    reading.add_argument("--first", type=int, default=0)
    reading.add_argument("--hosts", type=int, default=2, help="lines at a time")
    options = reading.parse_args()
    folder = options.dir / state()
    if options.table:
        return table(options, folder)
    ready(folder)
    for which in range(options.hosts):
        if os.fork() == 0:
            try:
                storm(options, folder, which)
            finally:
                os._exit(0)
    failed = sum(os.wait()[1] != 0 for _ in range(options.hosts))
    subprocess.run([sys.executable, *sys.argv, "--table"], check=not failed)
    return None


if __name__ == "__main__":
    main()
