"""A question asks something of one network: what it finds are figures, a column of the dataset each.

    cost       for each network, once                     nothing runs
    field      its theoretical receptive field            nothing runs
    gradient   how the gradient reaches its layers        for each seed, on a batch of the data, before the first step
    synflow, naswot, gradnorm                             the same
    error      what a training ends with                  for each seed, on the data, by the recipe
    latency    how long a run takes here                  in fresh processes, in a runtime, alone on the machine

>>> [one.name for one in chosen(["params", "c1", "latency:openvino"])]
['gradient', 'latency:openvino']
>>> Cell("resnet20", chosen(["c1"])[0], 2, How()).key != Cell("resnet20", chosen(["c1"])[0], 1, How()).key
True
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from resbench.errors import OptionError, did_you_mean
from resbench.sweeps.figures import NONE, Figures

Value = str | int | float | bool | None

WORDS = {
    **{"error": "test_error", "latency": "latency_s", "gradient": "first_to_last"},
    **{"rank": "effective_rank", "synflow": "synflow_log10"},
}
"""These words stand for a figure too."""


@dataclass(frozen=True)
class How:
    """A sweep asks in this way: on these data, by this recipe, there."""

    data: str = "digits"
    root: str | None = None
    epochs: float = 8.0
    """A training goes so many times through the images."""
    batch: int = 128
    lr: float = 0.1
    device: str = "cpu"
    dtype: str = "fp32"
    processes: int = 3
    """A latency is read in so many fresh processes."""
    digest: str = ""
    """A folder of images has this one: its name says nothing of what lies in it."""


@dataclass(frozen=True)
class Question:
    """A question has a name, and its figures have their types."""

    name: str
    figures: Mapping[str, type] = field(compare=False)
    heeds: tuple[str, ...] = ()
    """Its answer depends on these of how it is asked."""
    seeded: bool = False
    """It is asked once for each seed."""
    timed: bool = False
    """Its answer is of this machine: it runs alone there, and no other machine's answer stands for it."""
    runtime: str = ""
    pace: tuple[float, float] = (0.01, 0.0)
    """It takes about so many seconds, and so many more for each billion MACs: the end of a sweep is told by this until
    some answers say how long they take here."""


COST = Question("cost", dict.fromkeys(Figures._fields, int))

HALF = "latency_half_s"
"""This is half of the interval of a latency, and no figure of a network."""

GRADIENT = (
    *("loss", "first_to_last", "growth", "early_update", "last_update", "cosine", "c1", "effective_rank"),
    *("effective_depth", "identity_share", "dead"),
)
"""These figures of step 0 are those of `gradflow`, as its records name them."""

QUESTIONS: Mapping[str, Question] = {
    one.name: one
    for one in (
        COST,
        Question("field", {"field": int, "field_stride": int}, pace=(0.02, 0.0)),
        Question(
            "gradient",
            {**dict.fromkeys(GRADIENT, float), "verdict": str},
            ("data", "device"),
            seeded=True,
            pace=(0.5, 30.0),
        ),
        Question("synflow", {"synflow_log10": float}, seeded=True, pace=(0.1, 0.2)),
        Question("naswot", {"naswot": float}, ("data", "device"), seeded=True, pace=(0.1, 2.0)),
        Question("gradnorm", {"gradnorm": float}, ("data", "device"), seeded=True, pace=(0.1, 6.0)),
        Question(
            "error",
            {"train_error": float, "test_error": float, "train_loss": float, "broken": str},
            ("data", "epochs", "batch", "lr", "device", "dtype"),
            seeded=True,
            pace=(2.0, 900.0),
        ),
        Question("latency", {"latency_s": float, HALF: float}, ("device",), timed=True, pace=(12.0, 0.0)),
    )
}

METRICS: Mapping[str, str] = {
    **{figure: one.name for one in QUESTIONS.values() for figure in one.figures},
    **{name: name for name in QUESTIONS},
}
"""A metric is a question, or one of its figures: that question is asked."""

FIGURES: Mapping[str, type] = {name: kind for one in QUESTIONS.values() for name, kind in one.figures.items()}
"""Every row has a column for each of these, whatever is asked: all files are of one schema."""


def chosen(metrics: Iterable[str]) -> list[Question]:
    """Return the questions besides ``cost`` that give these metrics, each once. Raises OptionError."""
    found: dict[str, Question] = {}
    for text in metrics:
        word, colon, runtime = text.strip().partition(":")
        name = METRICS.get(figure_of(word))
        if name is None:
            known = [*METRICS, *WORDS]
            raise OptionError(f"no command gives {text!r}{did_you_mean(word, known, f'expected {_words(known)}')}")
        one = QUESTIONS[name]
        if colon and (name != "latency" or not runtime):
            raise OptionError(f"latency alone takes a runtime, such as latency:onnxruntime; received {text!r}")
        if name == "latency":
            one = replace(one, name=f"latency:{runtime or 'eager'}", runtime=runtime or "eager")
        found.setdefault(one.name, one)
    found.pop("cost", None)
    return [*found.values()]


def figure_of(word: str) -> str:
    """Return the figure that a word stands for, which may be its own name.

    >>> figure_of("error"), figure_of("macs"), figure_of("latency:openvino")
    ('test_error', 'macs', 'latency_s:openvino')
    """
    name, colon, runtime = word.strip().partition(":")
    return WORDS.get(name, name) + colon + runtime


def _words(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _digest(file: str) -> str:
    """Return the digest of a file that makes networks: when it changes, they may."""
    with suppress(OSError):
        return blake2b(Path(file).read_bytes(), digest_size=6).hexdigest()
    return ""


class Place(NamedTuple):
    """An answer was found on such a device, by so many threads, with these versions, on this machine."""

    device: str
    threads: int | None
    versions: str
    machine: str


@dataclass(frozen=True)
class Cell:
    """A cell is one question of one network: independent of every other, and named by all that it depends on."""

    network: str
    question: Question
    seed: int | None
    how: How
    place: Place | None = None
    """A question that is timed is asked there, and nowhere else."""
    costs: Figures = field(default=NONE, compare=False, repr=False)
    """What its network costs tells time and memory beforehand: whoever waits for a cell need not load it."""

    @cached_property
    def key(self) -> str:
        """Return 24 hex digits, a pure function of what is asked."""
        asked: list[Any] = [self.question.name, self.network]
        if self.network.startswith("file:"):
            asked.append(_digest(self.network.removeprefix("file:").rpartition(":")[0]))
        if self.question is not COST:
            asked += [self.seed, self.recipe, self.place]
        return blake2b(" ".join(map(str, asked)).encode(), digest_size=12).hexdigest()

    @property
    def recipe(self) -> str:
        """Say in words how it is asked, as far as the answer depends on it; where is said elsewhere."""
        heeds, how = self.question.heeds, self.how
        epochs = "1 epoch" if how.epochs == 1 else f"{how.epochs:g} epochs"
        words = {
            "epochs": f"{epochs} of batches of {how.batch}, lr {how.lr:g}",
            "data": f"on {' '.join(filter(None, (how.data, how.digest)))}",
            "dtype": how.dtype,
        }
        return ", ".join(text for key, text in words.items() if key in heeds)

    @property
    def device(self) -> str:
        """Return where it is answered: on the CPU, unless its question heeds the device."""
        return self.how.device if "device" in self.question.heeds else "cpu"

    @property
    def seconds(self) -> float:
        """Guess how long it takes, from the MACs of its network."""
        fixed, each = self.question.pace
        epochs = self.how.epochs / 8 if "epochs" in self.question.heeds else 1.0
        return (fixed + each * self.costs.macs / 1e9) * epochs
