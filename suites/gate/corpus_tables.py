"""What each tool says of every planted defect, from the verdicts that `corpus.py` kept, and the tables of it."""

import statistics
import sys
from collections import Counter

from scipy.stats import binomtest, mannwhitneyu

from resbench.tables import Column, Table

FACTOR = 1.1
"""Of `asv compare` and `asv continuous`, where none is given; and 10 % on pytest-benchmark's median."""
LEVEL = 0.01

TOOLS = {
    "counters": "resbench gate --counters",
    "pytest-benchmark": "pytest-benchmark, median + 10 %",
    "asv": "asv compare, factor 1.1",
    "mann-whitney": "Mann-Whitney U, 1 % a benchmark",
}


def asv_rule(folder):
    """Is new worse than old, by asv's functions; None where it is not installed."""
    sys.path.extend([folder] if folder else [])
    try:
        from asv.commands.compare import _is_result_better
        from asv_runner.statistics import compute_stats
    except ImportError:
        return None

    def worse(old, new):
        (a, a_stats), (b, b_stats) = compute_stats(old, 1), compute_stats(new, 1)
        return _is_result_better(a, b, (a_stats, old), (b_stats, new), FACTOR)

    return worse


def mann_whitney(old, new):
    """Is new slower than old?"""
    return mannwhitneyu(new, old, alternative="greater").pvalue < LEVEL


def median_rule(old, new):
    """`--benchmark-compare-fail=median:10%` on the samples of two runs."""
    return statistics.median(new) > FACTOR * statistics.median(old)


def rules(asv):
    """Those that judge the samples of two runs, by tool."""
    found = {"pytest-benchmark": median_rule, "asv": asv_rule(asv), "mann-whitney": mann_whitney}
    return {tool: rule for tool, rule in found.items() if rule}


def slower(worse, base, entry):
    """Does a rule call any benchmark of a run slower than in another?"""
    return any(worse(base["samples"][name], new) for name, new in entry["samples"].items() if name in base["samples"])


def verdicts(raw, asv):
    """Tool -> [(name, alarm, seconds)], the seconds None where a verdict takes another's samples."""
    found = {"counters": [(e["name"], e["status"] == 1, e["seconds"]) for e in raw.of("counters")]}
    clocks = raw.of("clocks")
    found["pytest-benchmark"] = [(e["name"], e["status"] == 1, e["seconds"]) for e in clocks]
    for tool, worse in rules(asv).items():
        if clocks and tool not in found:  # pytest-benchmark has judged for itself
            base = raw.of("baseline")[0]
            found[tool] = [(e["name"], slower(worse, base, e), e["seconds"]) for e in clocks]
    return {tool: entries for tool, entries in found.items() if entries}


SUMMARY = (
    Column("tool", "tool"),
    Column("caught", "caught", "exact"),
    Column("planted", "planted", "exact"),
    Column("rate", "caught", "share"),
    Column("rate_low", "from", "share"),
    Column("rate_high", "to", "share"),
    Column("false", "false alarms", "exact"),
    Column("quiet", "no-op runs", "exact"),
    Column("false_rate", "false", "share"),
    Column("false_low", "from", "share"),
    Column("false_high", "to", "share"),
    Column("median_s", "a verdict, median", "seconds"),
    Column("max_s", "longest", "seconds"),
)


def summary(found, known, raw):
    """A row for each tool; below, what each missed."""
    rows, missed = [], []
    for tool, entries in found.items():
        row = [TOOLS[tool]]
        for kind in ("defects", "noops"):
            alarms = [alarm for name, alarm, _ in entries if known[name]["kind"] == kind]
            row += [sum(alarms), len(alarms), *share(sum(alarms), len(alarms))]
        seconds = [s for name, _, s in entries if known[name]["kind"] == "defects"]
        rows.append([*row, statistics.median(seconds) if seconds else None, max(seconds, default=None)])
        names = [name for name, alarm, _ in entries if known[name]["kind"] == "defects" and not alarm]
        missed.append(f"Not caught by {TOOLS[tool]}: {', '.join(sorted(names)) or 'none'}.")
    broken = [e["name"] for e in raw.entries if e.get("status") == 2]
    notes = [
        "From, to: Clopper-Pearson, 95 %. A verdict, here on a defect, is a whole command in a fresh process; "
        "asv's rule and the U test judge the samples of pytest-benchmark's runs, in which nothing is counted.",
        *([f"Did not run, and so not caught: {', '.join(broken)}."] if broken else []),
        *missed,
        raw.of("corpus")[0]["note"],
    ]
    return Table(SUMMARY, rows, "Planted defects and edits that change nothing", notes)


def share(count, of):
    """A proportion with its exact bounds."""
    if not of:
        return None, None, None
    bounds = binomtest(count, of).proportion_ci(0.95, "exact")
    return count / of, bounds.low, bounds.high


BASES = (
    Column("tool", "tool"),
    Column("bases", "bases", "exact"),
    *(
        Column(f"{kind}_{what}", f"{title}, {what}", "share")
        for kind, title in (("defects", "alarms on defects"), ("noops", "on no-ops"))
        for what in ("mean", "least", "most")
    ),
)


def by_base(known, raw, asv):
    """The rules of the clocks with every run of nothing as the stored one in turn: one base may be a lucky one."""
    runs = [e for e in raw.of("clocks") if e["samples"]]
    quiet = [*raw.of("baseline"), *(e for e in runs if known[e["name"]]["kind"] == "noops")]
    rows = []
    for tool, worse in rules(asv).items() if len(quiet) > 1 else ():
        row = [TOOLS[tool], len(quiet)]
        for kind in ("defects", "noops"):
            held = [e for e in runs if known[e["name"]]["kind"] == kind]
            shares = [
                statistics.mean(slower(worse, base, e) for e in held if e is not base)
                for base in quiet
                if held != [base]
            ]
            row += [statistics.mean(shares), min(shares), max(shares)] if held else [None] * 3
        rows.append(row)
    note = "Shares of the runs in which any benchmark is called slower; over the bases, which are not independent."
    return Table(BASES, rows, "The same runs, with every run of nothing as the stored one in turn", [note])


def named(changes, seen):
    """Is the counter that ought to see it among those that changed?"""
    return any(counter == seen or (seen == "operators" and "." in counter) for _, _, counter, *_ in changes)


def by_defect(found, known, raw):
    """A row for each defect: who saw it, and by which counters."""
    counters = {e["name"]: e["changes"] for e in raw.of("counters")}
    alarms = {tool: {name: alarm for name, alarm, _ in entries} for tool, entries in found.items()}
    columns = [Column("defect", "defect"), Column("what", "what it is"), Column("seen", "ought to be seen by")]
    columns += [Column("named", "is named"), *(Column(tool, tool) for tool in found)]
    columns += [Column("benchmarks", "benchmarks", "exact"), Column("layers", "layers", "exact")]
    columns += [Column("changed", "counters that changed, and in how many layers")]
    rows = []
    for name, edit in known.items():
        if edit["kind"] != "defects" or not any(name in of for of in alarms.values()):
            continue
        changes = counters.get(name, [])
        often = Counter("operators" if "." in counter else counter for _, _, counter, *_ in changes)
        rows.append(
            [
                name,
                edit["what"],
                edit["seen"],
                "yes" if named(changes, edit["seen"]) else "" if edit["seen"] == "clock" else "NO",
                *({True: "alarm", False: "-", None: ""}[alarms[tool].get(name)] for tool in found),
                len({change[0] for change in changes}),
                len({tuple(change[:2]) for change in changes}),
                ", ".join(f"{counter} {times}" for counter, times in often.most_common()),
            ]
        )
    return Table(columns, rows, "By defect")
