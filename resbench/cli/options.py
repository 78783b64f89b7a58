"""Commands share these arguments and options, and how their words are read."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from resbench.cli.formats import Format as Format
from resbench.cli.formats import Output as Output
from resbench.errors import OptionError
from resbench.given import device_name
from resbench.networks.inputs import parse_input, parse_inputs
from resbench.networks.name import ModelName

UNITS = {"s": 1, "m": 60, "h": 3600}
"""A time may have these units, in seconds."""


def complete_model(incomplete: str) -> list[str]:
    """Complete names of the catalog in a shell."""
    from resbench.arch.catalog import entries

    return [name for name in entries() if "{" not in name and name.startswith(incomplete)]


def several(name: str, help: str, default: Sequence[str] = ()) -> Any:
    """Make an option that takes several words: ``--batch 1,8`` is ``--batch 1 --batch 8``."""
    return typer.Option(name, metavar="A,B,...", help=help, show_default=",".join(default) or True, callback=_words)


def _words(param: typer.CallbackParam, given: list[str] | None) -> list[str] | None:
    """Read the words of such an option, each once. Raises OptionError for an empty one."""
    found = [word.strip() for text in given or () for word in text.split(",")]
    refuse("" in found, f"{param.opts[0]} takes words with commas between; received {','.join(given or ())!r}")
    return [*dict.fromkeys(found)] or None


Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL...",
        help="A model: resnet50, or resnet56,shortcut=B,classes=100; `resbench models` lists them. Or "
        "torchvision:resnet50, timm:resnet50d, hf:ID, package.module:factory, file:path.py:factory (both run that "
        "code), pt2:FILE, onnx:FILE.",
        autocompletion=complete_model,
    ),
]
Model = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="The same, as an option.", autocompletion=complete_model)
]


def _inputs(given: Sequence[str] | None) -> Any:
    """Read all ``--input`` once, for every model. Raises OptionError."""
    return parse_inputs(given) if given else None


Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[NAME=]SHAPE[:DTYPE]",
        help="Instead of the model's own, without the batch: 3x224x224, ids=128:int64, or pos=49x2,batch=none for one "
        "that has none. Repeatable.",
        callback=_inputs,
    ),
]
Batch = Annotated[int, typer.Option("--batch", help="Batch size.", min=1, max=2**20)]


def _device(given: str) -> str:
    """Refuse a device that there is nowhere, also where nothing would run on it. Raises OptionError."""
    device_name(given)
    return given


Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:INDEX or mps.", callback=_device)]

Fits = Annotated[
    str | None,
    typer.Option(
        "--fits", metavar="SIZE", help="With --memory: the largest batch that fits 8GB, by prediction, without a run."
    ),
]
Export = Annotated[
    Path | None, typer.Option("--export", metavar="FILE", help="Keep the graph that a runtime was given.")
]
Runtime = Annotated[
    list[str] | None,
    several(
        "--runtime", "Where it runs: eager, compile, aot, onnxruntime, openvino, executorch; several side by side."
    ),
]
Threads = Annotated[int | None, typer.Option("--threads", help="Of torch on the CPU.", min=1, max=4096)]
Dtype = Annotated[str, typer.Option("--dtype", help="fp32, tf32, bf16 or fp16; the last two by autocast.")]
Layout = Annotated[str, typer.Option("--memory-format", help="contiguous or channels_last.")]
Mode = Annotated[str, typer.Option("--mode", help="inference, or training: forward, backward and a step.")]
Optimizer = Annotated[
    str, typer.Option("--optimizer", metavar="NAME", help="Of --mode training: AdamW or another class of torch.optim.")
]

Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 1 where operators ran that have no formula, and were not counted.")
]

Data = Annotated[
    str,
    typer.Option("--data", help="digits (come with scikit-learn), cifar10, cifar100, mnist, fashion_mnist, folder."),
]
Shown = Annotated[
    str | None,
    typer.Option("--data", help="Run on these images, and say how many are named rightly: digits, cifar10, ..."),
]
Quantize = Annotated[
    str | None,
    typer.Option("--quantize", metavar="int8", help="Also in integers, where a runtime can; calibrated on --data."),
]
Stored = Annotated[
    list[Path] | None,
    typer.Option("--from", metavar="PATH", help="What other commands wrote as JSON, files or folders. Repeatable."),
]
Board = Annotated[
    Path | None,
    typer.Option("--tensorboard", metavar="DIR", help="Scalars, histograms, hyperparameters and graphs."),
]
Root = Annotated[Path | None, typer.Option("--data-root", metavar="DIR", help="Where the data lie.")]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Charts: FILE.svg, .png, .pdf or .html; their data beside it as CSV."),
]


def chosen(
    arguments: Iterable[str] | None, named: Iterable[str] | None, input: Any = None, least: int = 1
) -> list[str]:
    """Arguments and ``--model`` options stand together. Raises OptionError when too few are named.

    An input for all is refused here once, and not for every model, where a name says another, or of networks of the
    catalog alone it is no image.
    """
    names = [*(arguments or ()), *(named or ())]
    if len(names) < least:
        wanted = "a model, such as resnet50" if least == 1 else f"{least} models or more, such as plain56 resnet56"
        raise OptionError(f"expected {wanted}; received {len(names) or 'none'}; `resbench models` lists what there is")
    if input and all(":" not in name for name in names):
        parse_input(input)
    for name in names if input else ():
        own = ModelName.stored(name).inputs
        refuse(
            own and own != tuple(input),
            f"{name} says its input, and --input says {', '.join(one.text for one in input)}: keep one of them",
        )
    return names


def refuse(wrong: object, reason: str) -> None:
    """Raise OptionError where something is wrong with the options of a call, such as two that do not go together."""
    if wrong:
        raise OptionError(reason)


def whole_numbers(words: Sequence[str], allowed: range, expected: str) -> list[int]:
    """Read ``1``, ``8`` and ``32`` as numbers. Raises OptionError for a word that is none of those allowed."""
    if not all(word.isascii() and word.isdigit() and len(word) < 8 and int(word) in allowed for word in words):
        raise OptionError(f"{expected}; received {','.join(words)!r}")
    return [int(word) for word in words]


def share(text: str | None, option: str) -> float | None:
    """Read ``1%`` and ``0.01`` as a share. Raises OptionError."""
    if text is None:
        return None
    number, percent = (text.strip().removesuffix("%"), text.strip().endswith("%"))
    found = re.fullmatch(r"\d*\.?\d+", number.strip())
    if not found:
        raise OptionError(f"{option} takes a share such as 1% or 0.01; received {text!r}")
    return float(found[0]) / (100 if percent else 1)


def seconds(text: str) -> float:
    """Read ``90s``, ``7m`` and ``1h`` as seconds. Raises OptionError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not found or not float(found[1]):
        raise OptionError(f"--time-budget takes a time such as 90s, 7m or 1h; received {text!r}")
    return float(found[1]) * UNITS[found[2]]
