"""A gate makes both sides, builds, counts and times them, or it holds one side against what is committed."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from resbench.errors import GateError
from resbench.files import is_there
from resbench.given import public
from resbench.progress import Progress, silent
from resbench.regression import expectations
from resbench.regression.counting import counted
from resbench.regression.duel import Duel, run_duel
from resbench.regression.expectations import SuiteCounts
from resbench.regression.gating.result import Gate
from resbench.regression.process import Side, build, with_files
from resbench.regression.sides import temporary, top_of, workshop
from resbench.regression.suite import SUITE, Suite, read
from resbench.units import plural
from resbench.workers.environment import environment


@public
def gate(
    base: str | None = None,
    head: str | None = None,
    *,
    suite: Path = SUITE,
    counters: bool = False,
    budget_s: float = 420.0,
    progress: Progress = silent,
) -> Gate:
    """Judge a change: what it computes, counter by counter, then its wall time as a duel with its base.

    ``base`` and ``head`` are revisions or directories: by default the merge base with main and the working tree.
    ``counters``: only the working tree's counters, against the committed expectations. Raises GateError.
    """
    return _against_expectations(suite, progress) if counters else _between(base, head, suite, budget_s, progress)


def _against_expectations(path: Path, progress: Progress) -> Gate:
    """Count the suite as it lies there, against its expectations. Raises GateError."""
    suite, side, stored = _here(path)
    expected = expectations.load(stored)
    if expected is None:
        raise GateError(f"no expectations in {_named(stored)}; `resbench gate --update` writes them, commit them then")
    with temporary() as folder:
        (counts,) = counted([replace(side, exports=folder)], suite, progress, expected.by_work())
    expectations.check_release(expected, counts, stored)
    spared = expectations.spared(expected, counts)
    due = {name: one for name, one in expected.benchmarks.items() if name in counts.benchmarks or name not in spared}
    _check_paired(suite, {_named(stored): replace(expected, benchmarks=due), "the suite": counts})
    apart = expectations.incomparable(expected, counts)
    common = {name: one for name, one in counts.benchmarks.items() if name not in {other.benchmark for other in apart}}
    return Gate(
        base=_named(stored),
        head="working tree",
        changes=tuple(expectations.changes(expected.benchmarks, common)),
        excesses=tuple(expectations.over(suite.limits, counts)),
        benchmarks=tuple(name for name in common if name in expected.benchmarks),
        incomparable=apart,
        notes=tuple(notes(suite, expected, counts)),
    )


def update(path: Path, progress: Progress = silent) -> str:
    """Write the expectations anew, but those of skipped benchmarks; return what changed. Raises GateError."""
    suite, side, stored = _here(path)
    with temporary() as folder:
        (counts,) = counted([replace(side, exports=folder)], suite, progress)
    expected = SuiteCounts(counts.torch, {})
    with suppress(GateError):  # half merged, or of another schema: written anew
        expected = expectations.load(stored) or expected
    before = expected.benchmarks
    kept = {name: before[name] for name in expectations.spared(expected, counts) if name not in counts.benchmarks}
    if kept:
        expectations.check_release(expected, counts, stored, f"where {', '.join(kept)} is not skipped")
    now = SuiteCounts(counts.torch, {**kept, **counts.benchmarks}, files={**expected.files, **counts.files})
    expectations.store(stored, now)
    new = [name for name in now.benchmarks if name not in before]
    gone = [name for name in before if name not in now.benchmarks]
    changed, count = len(expectations.changes(before, counts.benchmarks)), len(counts.benchmarks)
    unpaired = [f"{word} {', '.join(names)}" for word, names in (("new", new), ("gone", gone)) if names]
    summary = "; ".join([plural(count, "benchmark"), f"{plural(changed, 'counter')} changed", *unpaired])
    return f"{_named(stored)}: {summary}. Review and commit it."


def _here(path: Path) -> tuple[Suite, Side, Path]:
    """Return the suite, the tree as it lies there, and where its expectations are."""
    root, where = _located(path)
    suite = read(root, where)
    side = with_files(Side("head", "working tree", root, ours=False), suite)
    return suite, side, suite.stored(root)


def _between(base: str | None, head: str | None, path: Path, budget_s: float, progress: Progress) -> Gate:
    """Build both sides, count, then time them, all within the budget. Raises GateError."""
    start = time.monotonic()
    root, where = _located(path)
    with workshop(Path.cwd()) as shop:
        if shop.top and root != shop.top and not is_there(path):
            raise GateError(f"no {path} here: call it from {shop.top}, or name the suite with --suite")
        if shop.top and root != shop.top:
            raise GateError(f"expected a suite of {shop.top}, received {path}, which is in {root}; run it from there")
        one = shop.side("base", base or shop.base())
        two = shop.side("head", head) if head else shop.working_tree()
        trees = {tree for tree in (one.root, two.root, shop.top) if tree}
        one, two = (replace(side, elsewhere=tuple(trees - {side.root})) for side in (one, two))
        suite = read(two.root, where)
        one, two = with_files(one, suite), with_files(two, suite)
        for side in (one, two):
            if suite.build:
                build(side, suite, budget_s - (time.monotonic() - start))
        gate = _counted(one, two, suite, progress)
        duel = Duel(suite.rules, environment("cuda").on(suite.threads))
        try:
            _timed(duel, one, two, suite, gate.benchmarks, budget_s - (time.monotonic() - start), progress)
        except GateError as error:
            if not gate.status:
                raise
            return replace(gate, notes=(*gate.notes, f"Wall time was not judged: {error}."))
        except KeyboardInterrupt:
            rounds, least = len(duel.rounds), suite.rules.looks[0]
            duel.judgement = None  # that of an earlier look is not the last word
            done = f"the counters and {rounds} of at least {plural(least, 'round')}"
            return replace(gate, duel=duel if rounds else None, interrupted=done)
    return replace(gate, duel=duel)


def _counted(base: Side, head: Side, suite: Suite, progress: Progress) -> Gate:
    """Count both sides.

    A counter that differs is explained if the head's expectations, which its author committed, hold the same.
    """
    before, after = counted([base, head], suite, progress)
    _check_paired(suite, {str(base): before, str(head): after})
    stored = expectations.load(suite.stored(head.root))
    known = expectations.meant(stored, after) if stored else set()
    found = expectations.changes(before.benchmarks, after.benchmarks)
    common = [name for name in before.benchmarks if name in after.benchmarks]
    if not common:
        raise GateError(f"{base} and {head} have no benchmark in common: nothing to compare")
    return Gate(
        base=str(base),
        head=str(head),
        changes=tuple(change for change in found if change.benchmark not in known),
        explained=tuple(change for change in found if change.benchmark in known),
        excesses=tuple(expectations.over(suite.limits, after)),
        benchmarks=tuple(common),
        notes=tuple(notes(suite, before, after)),
    )


def _timed(
    duel: Duel, base: Side, head: Side, suite: Suite, names: Sequence[str], budget_s: float, progress: Progress
) -> None:
    if budget_s <= 0:
        raise GateError("building and counting took all of the --time-budget: expected a longer one")
    arms = {"base": base, "again": replace(base, name="again"), "head": head}
    run_duel(duel, arms, suite, names, budget_s, progress)


def _located(path: Path) -> tuple[Path, Path]:
    """Return the root of the tree that holds the suite, and the suite's path in it."""
    whole = path.resolve()
    root = top_of(whole.parent) or Path.cwd().resolve()
    if not whole.is_relative_to(root):
        root = whole.parent
    return root, whole.relative_to(root)


def _check_paired(suite: Suite, counts: Mapping[str, SuiteCounts]) -> None:
    """Raise GateError where one of two sides, each under what a person calls it, has a benchmark of its own."""
    alone = [
        f"{', '.join(names)}: in {here}, not in {there}"
        for (here, one), (there, other) in permutations(counts.items())
        if (names := [name for name in one.benchmarks if name not in other.benchmarks and not _meant(suite, name, one)])
    ]
    if alone:
        raise GateError(
            f"{'; '.join(alone)}: nothing to compare with; if that is meant, name it, or its file, in `unpaired` of "
            f"{suite.path}, or for expectations run `resbench gate --update`"
        )


def _meant(suite: Suite, name: str, counts: SuiteCounts) -> bool:
    """Tell whether a benchmark, or its whole file, may be on one side only."""
    return name in suite.unpaired or any(_is(counts.files.get(name, ""), entry) for entry in suite.unpaired)


def _is(file: str, entry: str) -> bool:
    """Tell whether an entry of the suite, which is relative to it, is this file, which is relative to pytest's root."""
    return file == entry or file.endswith(f"/{entry}")


def _has(counts: SuiteCounts, entry: str) -> bool:
    """Tell whether a side has this benchmark, or one of this file."""
    return entry in counts.benchmarks or any(_is(counts.files.get(name, ""), entry) for name in counts.benchmarks)


def notes(suite: Suite, before: SuiteCounts, after: SuiteCounts) -> list[str]:
    """Return what a reader should know who sees that all is well."""
    sides = {name: _has(before, name) + _has(after, name) for name in suite.unpaired}
    alone = "Nothing of this tree was imported but the suite: was an installed copy judged? See `pythonpath`."
    return [
        *(f"Not judged here: {name} ({why})." for name, why in after.skipped.items()),
        *(
            f"Not judged here: {name}, which has nothing to be compared with (`unpaired`)."
            for name, count in sides.items()
            if count == 1
        ),
        *(
            f"Nowhere: {name}; take it out of `unpaired`."
            for name, count in sides.items()
            if count == 0 and name not in after.skipped
        ),
        *(
            f"On both sides: {name}; take it out of `unpaired`, which would let it vanish unseen."
            for name, count in sides.items()
            if count == 2
        ),
        *(
            f"Parameters and MACs alone are counted in {name}: {one.runtime} does not tell its kernels."
            for name, one in after.benchmarks.items()
            if one.runtime and "kernels" not in one.totals
        ),
        *([alone] if after.alone else []),
    ]


def _named(path: Path) -> str:
    whole = path.resolve()
    return min(os.path.relpath(whole), str(whole), key=len)
