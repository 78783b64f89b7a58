"""Optuna chooses what a search looks at next; this module turns its trials into networks, and its states into ours.

A trial whose network cannot be, or lies outside of the limits, is pruned; one whose network gave no finite number has
failed, as has one that an earlier process was killed at. What was looked at already is answered from what is known.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from resbench.errors import SourceError, first_line, foreign
from resbench.sweeps.choices import Choice, OneOf, Range, Several, Value
from resbench.sweeps.draws import Drawn, tried
from resbench.sweeps.limits import Limit
from resbench.sweeps.space import Networks, Space

Values = tuple[float, ...]

POPULATION = 24
"""NSGA-II breeds generations of so many: eight of them in a budget of 200."""

MOST_KNOWN = 2_000
"""After so many trials in a row that gave nothing new, the space has most likely no other."""

STUCK = 10
"""After so many in a row every other one is drawn at random: an optimiser may ask for the same network for ever."""

SAMPLERS: Mapping[str, Any] = {
    "nsga2": lambda stream: optuna.samplers.NSGAIISampler(seed=stream, population_size=POPULATION),
    "tpe": lambda stream: optuna.samplers.TPESampler(seed=stream),
    "random": lambda stream: optuna.samplers.RandomSampler(seed=stream),
}


class Trials:
    """The trials of one search, in a journal; ``looked`` has the values of every network, or None where it failed."""

    def __init__(self, journal: Path, asked: str, objectives: int, sampler: str, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.why, self.failed = "they are outside of the limits", ""
        with _quiet(), foreign(SourceError, lambda e: _damaged(journal, e)):
            _mend(journal)
            storage = JournalStorage(JournalFileBackend(str(journal)))
            self.study = optuna.create_study(
                storage=storage, study_name=asked, directions=["minimize"] * objectives, load_if_exists=True
            )
            earlier = self.study.get_trials(deepcopy=False)
            for trial in earlier:
                if trial.state == TrialState.RUNNING:
                    self.study.tell(trial.number, state=TrialState.FAIL)
        stream = (seed + 1_000_003 * len(earlier)) % 2**32  # not the first one again
        self.study.sampler = self.own = SAMPLERS[sampler](stream)
        self.chance = SAMPLERS["random"](stream)
        self.looked: dict[str, Values | None] = {}
        for trial in earlier:
            if name := trial.user_attrs.get("network"):
                self.looked.setdefault(name, tuple(trial.values) if trial.values else None)

    @property
    def count(self) -> int:
        return len(self.study.get_trials(deepcopy=False))

    def ask(self, space: Space, limits: Sequence[Limit], most: int) -> dict[str, tuple[Drawn, optuna.Trial]]:
        """Ask for networks that nobody has looked at: fewer than ``most`` where the optimiser finds no others."""
        found: dict[str, tuple[Drawn, optuna.Trial]] = {}
        since = 0
        while len(found) < most and since < MOST_KNOWN:
            since += 1
            self.study.sampler = self.chance if since > STUCK and since % 2 else self.own
            with _quiet():
                trial = self.study.ask()
                line, values = _suggested(trial, space)
                one = tried(line, values, limits)
                if isinstance(one, str):
                    self.why = one
                    self.study.tell(trial, state=TrialState.PRUNED)
                elif one.name in self.looked or one.name in found:
                    self._again(trial, one.name)
                else:
                    found[one.name] = one, trial
                    since = 0
        self.study.sampler = self.own
        return found

    def fails(self, name: str, reason: str) -> None:
        """Keep the reason of a network that fails, and which was the first."""
        self.why = reason
        self.failed = self.failed or f"{name}: {reason}"

    def _again(self, trial: optuna.Trial, name: str) -> None:
        """Tell of a network that was looked at already: in a generation of NSGA-II it would only breed itself."""
        known = None if isinstance(self.own, optuna.samplers.NSGAIISampler) else self.looked.get(name)
        self.tell(trial, name, known)

    def tell(self, trial: optuna.Trial, name: str, values: Values | None) -> None:
        """Tell what a network is worth; None: it gave no finite number."""
        with _quiet():
            trial.set_user_attr("network", name)
            if values is None:
                self.study.tell(trial, state=TrialState.FAIL)
            else:
                self.study.tell(trial, values)


def _suggested(trial: optuna.Trial, space: Space) -> tuple[Networks, dict[str, Value]]:
    """Return a line of the space and values for it, as the optimiser suggests them."""
    lines = space.networks
    place = trial.suggest_categorical("line", [*range(len(lines))]) if len(lines) > 1 else 0
    line = lines[place]
    return line, {key: _value(trial, f"{place}.{key}", choice) for key, choice in line.choices.items()}


def _value(trial: optuna.Trial, name: str, choice: Choice) -> Value:
    """Suggest a value of a choice; what is drawn along a logarithmic axis is suggested along it."""
    match choice:
        case OneOf(words):
            return words[trial.suggest_categorical(name, [*range(len(words))])] if len(words) > 1 else words[0]
        case Range(scale="powers of two", low=low, high=high):
            return 1 << trial.suggest_int(name, int(low).bit_length() - 1, int(high).bit_length() - 1)
        case Range(low=low, high=high, step=step, scale="uniform") if step and choice.kind is int:
            return int(low + step * trial.suggest_int(name, 0, int((high - low) / step)))
        case Several(of=one, count=count):
            return choice.text([_value(trial, f"{name}/{i}", one) for i in range(count)])
        case _:
            return choice.at(trial.suggest_float(name, 0.0, 1 - 2**-40))


def _mend(journal: Path) -> None:
    """Leave out a last line that was not written to its end: Optuna would write the next one behind it."""
    if journal.exists():
        with journal.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _damaged(journal: Path, error: BaseException) -> str:
    return (
        f"cannot read the journal of the search {journal} ({type(error).__name__}: {first_line(error)}); "
        "without it the search begins anew, and the rows stay"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna warns that its journal is an experiment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
