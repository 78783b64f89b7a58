"""Command lines of resbench, drawn from a seed: valid, nearly valid and wrong ones, of all commands and options.

A line is a pure function of seed and number. What an option takes is known by its name here; an option that is not
known here takes the words of ``ANY``, so that a new one is stormed too.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from resbench.cli.commands import COMMANDS, Later

Choices = Sequence[str]


class Line(NamedTuple):
    """A command line, and what happens to it while it runs."""

    words: tuple[str, ...]
    output: str
    """``file``; ``closed``: nobody reads its pipe; ``full``: /dev/full."""
    interrupted_s: float | None
    """Ctrl-C comes after so many seconds."""
    taken_away_s: float | None
    """Its folder is taken away after so many seconds."""


MODELS = (
    *("resnet20", "plain20", "plain8", "resnet8", "preact_resnet20", "resnet14,shortcut=B", "resnet8,width=2"),
    *("resnet20,input=3x16x16", "plain8,classes=100", "squeezenet1_0,input=3x64x64", "nasbench201", "inceptionnet"),
    *("file:net.py:small", "file:net.py:branches", "onnx:net.onnx", "pt2:net.pt2", "resnet8,weights=resnet8.pt"),
    *("resnet8,weights=resnet8.safetensors", "net:small", "Seq(Conv2d(3, 8, 3), ReLU())", "conv5x5_reduced"),
)
NEARLY = (
    *("resnet21", "resnet", "resnet20,shortcut=D", "resnet8,width=0", "RESNET8", "resnet8,", "resnet8,,width=1", ""),
    *("resnet8,input=3x0x8", "resnet8,input=3x8", "resnet8,input=3x1x1", "file:net.py", "file:none.py:small"),
    *("file:net.py:raises", "file:net.py:nothing", "file:net.py:ends", "file:net.py:talks", "file:broken.py:small"),
    *("onnx:cut.onnx", "onnx:none.onnx", "onnx:notes.txt", "onnx:.", "pt2:cut.pt2", "pt2:net.onnx", "pt2:notes.txt"),
    *("resnet8,weights=cut.pt", "resnet8,weights=none.pt", "resnet8,weights=notes.txt", "plain20,weights=resnet8.pt"),
    *("resnet8,weights=cut.safetensors", "resnet8,width=1,width=2", "resnet9999999998", "resnet8,classes=1e9"),
    *("net:none", "none:small", "os:getcwd", "Seq()", "Conv2d(3, 8, 30)", "Conv2d(3, 8, 3", "Add(ReLU())"),
    *("torchvision:none", "timm:none", "hf:", "resnet8,depth=8", "regnet_x_400mf,input=3x2x2", "resnet8,se=7"),
)
WRONG = (
    *(
        "\N{COLLISION SYMBOL}",
        "..",
        "-",
        "--",
        "a" * 300,
        "\x1b[31mred\x1b[0m",
        "<script>alert(1)</script>",
        "res\nnet",
    ),
    *("%s%n%d", "$(id)", "`id`", "; ls", "resnet\N{ARABIC-INDIC DIGIT EIGHT}", "/proc", "/dev/null", "resnet8\t", " "),
)
ANY = ("", "0", "1", "x", "-1", ",", "notes.txt", ".", "None", "\N{SNOWMAN}", "a=b", "1,2", "yes", *WRONG[:8])
NUMBERS = ("0", "1", "2", "3", "8")
NUMBERLESS = (
    *("-1", "1.5", "nan", "inf", "-inf", "1e400", "1_0", "0x10", "", " 4", "\N{ARABIC-INDIC DIGIT THREE}", "1e3"),
    *("99999999999999999999", "1,5", "+2", "2**3", "--", "-0", "1e-320", "two"),
)
SHARES = ("0.01", "0.05", "0.1", "1")
METRICS = ("params", "macs", "params,macs", "elementwise,activations", "field", "depth", "macs,conv_activations")
FILES = ("out.json", "out.csv", "out.txt", "out.html", "out.md", "out.tex", "out.tsv", "out.json.gz", "new/out.json")
NO_FILES = (
    *("ro/out.json", "full/out.json", "notes.txt/out", ".", "/proc", "", "out.xyz", "~/out.json", "/dev/full"),
    *("/dev/null", "link.json", "out.json/", "a" * 300 + ".json", "new", "stored/flops.json", "/proc/out.json", "-"),
)
STORED = ("stored", "stored/flops.json", "stored/degradation.json.gz", "stored/gradflow.json.gz", "stored/latency.json")
NOT_STORED = ("cut.json", "cut.json.gz", "odd.json", "deep.json", "notes.txt", "none.json", "..", "net.onnx", "", "ro")
SPACES = ("residual", "anynet", "regnet", "inception", "nasbench201", "space.toml")
NO_SPACES = ("bad.toml", "empty.toml", "none.toml", "notes.txt", "residua", "", "..", "net.py")

VALUES: Mapping[str, tuple[Choices, Choices]] = {
    "--model": (MODELS, NEARLY),
    "--per": (("model", "stage", "block", "layer"), ("layers", "Model", "")),
    "--mode": (("inference", "training"), ("train", "both", "")),
    "--input": (
        ("3x16x16", "3x32x32", "x=3x16x16", "3x16x16:float32", "1x8x8"),
        ("3x", "3x16", "0x16x16", "3x-1x8", "3x16x16:int3", "a=b=c", "3x99999x99999", "3x1x1", "x", "=3x8x8"),
    ),
    "--batch": (("1", "2", "8", "2,4"), (*NUMBERLESS, "0", "1048577", "1,,2")),
    "--format": (("table", "markdown", "csv", "tsv", "json", "latex", "html"), ("xml", "JSON", "", "yaml", "text")),
    "--output": (FILES, NO_FILES),
    "--plot": (("out.svg", "out.html", "out.png", "out.pdf"), ("out.gif", "out", *NO_FILES)),
    "--svg": (("net.svg", "new/net.svg"), ("net.png", "net", *NO_FILES)),
    "--raw": (("raw.json", "raw.json.gz"), ("raw.txt", *NO_FILES)),
    "--export": (("kept.onnx",), ("kept.txt", *NO_FILES)),
    "--metrics": (METRICS, ("flop", "params,", ",", "params,params", "latency:none", "error:2", "")),
    "--from": (STORED, NOT_STORED),
    "--baseline": (("resnet20", "plain20", "resnet8"), ("none", "", "resnet")),
    "--sort": (("macs", "-params", "params"), ("none", "", "--", "-")),
    "--only": (("macs<5G", "params<=1M", "macs>1"), ("macs<", "macs", "<5", "macs<5X", "none<3", "macs<nan")),
    "--pareto": (("params,macs",), ("params", "none,macs", "")),
    "--group-by": (("family",), ("none", "", "Family")),
    "--device": (("cpu",), ("cuda", "cuda:7", "mps", "tpu", "", "cpu:3")),
    "--runtime": (("eager", "onnxruntime", "eager,onnxruntime"), ("none", "eager,,", "tensorrt", "Eager", "")),
    "--dtype": (("fp32", "bf16"), ("fp64", "int8", "", "tf32", "FP32")),
    "--memory-format": (("contiguous", "channels_last"), ("nhwc", "")),
    "--optimizer": (("AdamW", "SGD"), ("Adamw", "Optimizer", "", "none")),
    "--cache": (("warm", "cold"), ("hot", "")),
    "--threads": (("1", "2"), (*NUMBERLESS, "0", "4097")),
    "--processes": (("1", "2"), (*NUMBERLESS, "0", "1025")),
    "--fits": (("1GB", "500MB"), ("", "-1GB", "1", "1XB", "nanGB", "0")),
    "--data": (("digits",), ("cifar10", "cifar100", "none", "", "images", "notes.txt")),
    "--data-root": (("data", "."), ("none", "notes.txt", "", "ro")),
    "--quantize": (("int8",), ("int4", "")),
    "--tensorboard": (("tb",), NO_FILES),
    "--trace": (("trace", "new/trace"), NO_FILES),
    "--view": (("overview", "operators"), ("none", "")),
    "--steps": (("0", "0,1", "1"), (*NUMBERLESS, "1,0", "0,0", ",")),
    "--seeds": (("1", "2"), (*NUMBERLESS, "0", "1001")),
    "--lr": (("0.1", "0.01"), (*NUMBERLESS, "0")),
    "--norm": (("bn", "none"), ("gn", "")),
    "--stat": (("gradient", "update"), ("none", "", "gradient,,")),
    "--threshold": (("exploding=100", "healthy=0.1:10"), ("exploding", "=3", "none=1", "exploding=x", "healthy=9:1")),
    "--fail-on": (("exploding", "vanishing"), ("none", "", "exploding,")),
    "--epochs": (SHARES, (*NUMBERLESS, "0")),
    "--warmup": (("0", "5"), NUMBERLESS),
    "--dir": (("kept", "new/kept"), ("ro/kept", "notes.txt", "", "stored", "full/kept", "/dev/null")),
    "--probe": (("0", "1", "10"), NUMBERLESS),
    "--landscape": (("1", "0.5"), NUMBERLESS),
    "--span": (("1", "0.5"), (*NUMBERLESS, "0")),
    "--points": (("3", "5"), (*NUMBERLESS, "1", "4", "2")),
    "--directions": (("filter", "layer", "none", "top"), ("trajectory", "random", "")),
    "--biases": (("zero", "own"), ("one", "")),
    "--bn": (("recompute", "eval", "train"), ("none", "")),
    "--images": (("8", "16"), (*NUMBERLESS, "0")),
    "--tolerance": (("1%", "0.05"), ("0", "%", "-1%", "200%", "nan", "")),
    "--curvature": (("0", "3"), NUMBERLESS),
    "--convexity": (("0", "1", "3"), NUMBERLESS),
    "--every": (("1", "2"), NUMBERLESS),
    "--vtk": (("vtk",), NO_FILES),
    "--depth": (("8", "14"), (*NUMBERLESS, "9", "2")),
    "--table": (("shortcuts", "orders", "all"), ("none", "")),
    "--suite": (("suite.toml",), ("bad.toml", "none.toml", "", "notes.txt", "empty.toml")),
    "--time-budget": (("20s",), ("0s", "1", "", "nan", "-1m", "9h9")),
    "-n": (("3", "10"), (*NUMBERLESS, "0")),
    "--seed": (("0", "1"), NUMBERLESS),
    "--limit": (("macs=:5M", "params=:1M"), ("macs", "macs=", "macs=5M:1M", "none=:3", "macs=a:b", "macs=:nan", "=")),
    "--ray": (("local",), ("1.2.3.4:5", "none", "", "localhost:1")),
    "--merge": (("swept",), ("none", "stored", "notes.txt", "")),
    "--target": (("macs", "params"), ("none", "error", "")),
    "--against": (("macs", "params"), ("none", "")),
    "--minimize": (("macs,params", "params"), ("none", "", "macs,macs", "error,,")),
    "--budget": (("4", "8"), (*NUMBERLESS, "0")),
    "--sampler": (("nsga2", "tpe", "random"), ("grid", "")),
    "--parts": (("cost", "cost,gradient"), ("none", "", "cost,,")),
    "--title": (("Two networks", "<b>\N{SNOWMAN}</b>", ""), ("\x1b[2J", "a" * 3000)),
}
"""An option by its longest name: what it takes, and what is nearly that."""

FLAGS = ("--layers", "--memory", "--compile", "--ray", "--full", "--update")
"""These take long, or many processes: they are drawn less often than others."""

ARGUMENTS: Mapping[str, tuple[Choices, Choices]] = {
    "models": (("", "resnet", "resnet20", "vgg", "--audit"), ("none", "{6n+2}")),
    "gate": (("HEAD", "."), ("none", "HEAD~9", "notes.txt", "")),
    "compare-runs": (("a.json", "b.json"), ("cut.json", "odd.json", "none.json", "notes.txt", "stored/flops.json")),
    "history": (("a.json", "b.json"), ("cut.json", "odd.json", "none.json", "notes.txt")),
    "claims": (("1", "2", "3"), ("none", "", "19", "0", "1-", "2-1")),
    "sweep": (SPACES, NO_SPACES),
    "search": (SPACES, NO_SPACES),
    "doctor": ((), ("x",)),
    "placements": ((), ("x",)),
}
"""What stands without an option; for the other commands models."""

LEAST = {"gate": (0, 1), "show": (1, 1), "profile": (1, 1), "sweep": (1, 1), "search": (1, 1), "compare-runs": (2, 2)}
"""So many arguments, at least and at most; for others none to three."""

ALWAYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "gradflow": (("--steps", "0"), ("--seeds", "1"), ("--batch", "8")),
    "degradation": (("--epochs", "0.1"), ("--batch", "64")),
    "landscape": (("--epochs", "0.1"), ("--points", "3"), ("--images", "16")),
    "placements": (("--epochs", "0.01"), ("--depth", "8"), ("--batch", "64")),
    "latency": (("--processes", "1"),),
    "report": (("--parts", "cost"),),
    "sweep": (("-n", "6"),),
    "search": (("--minimize", "macs,params"), ("--budget", "6")),
    "profile": (("--trace", "trace"), ("--steps", "1")),
    "gate": (("--suite", "suite.toml"), ("--counters", "")),
}
"""Nearly every line of a command has these, or it would run for minutes."""

WEIGHTS = {
    **dict.fromkeys(("flops", "compare", "gradflow", "sweep", "report"), 9),
    **dict.fromkeys(("show", "field", "landscape", "degradation", "models"), 7),
    **dict.fromkeys(("compare-runs", "history", "search", "gate"), 4),
    **dict.fromkeys(("latency", "profile", "claims", "placements", "doctor"), 2),
}


def line(seed: int, number: int) -> Line:
    """Draw a line."""
    draw = Random(f"{seed}.{number}")
    names = [*COMMANDS]
    command = draw.choices(names, [WEIGHTS.get(name, 4) for name in names])[0]
    words = [*_arguments(command, draw), *_options(command, draw)]
    if draw.random() < 0.01:
        words.insert(draw.randrange(len(words) + 1), draw.choice(["--help", "--version", "--none", "-z", "--debug"]))
    output = draw.choices(["file", "closed", "full"], [96, 2, 2])[0]
    interrupted = draw.uniform(0, 6) if draw.random() < 0.02 else None
    taken = draw.uniform(0, 2) if draw.random() < 0.01 else None
    typed = command if draw.random() < 0.995 else command[:-1]
    return Line((typed, *words), output, interrupted, taken)


def _word(draw: Random, good: Choices, near: Choices, strange: Choices = WRONG) -> str:
    kind = draw.choices([good, near, strange], [84 if good else 0, 13 if near else 0, 3])[0]
    return draw.choice(kind)


def _arguments(command: str, draw: Random) -> list[str]:
    least, most = LEAST.get(command, (0, 3))
    good, near = ARGUMENTS.get(command, (MODELS, NEARLY))
    count = draw.randint(least, most) if command in LEAST or draw.random() < 0.1 else draw.randint(1, 2)
    if not good:
        count = int(draw.random() < 0.03)
    return [_word(draw, good, near) for _ in range(count)]


def _options(command: str, draw: Random) -> list[str]:
    """Choose some of a command's options, each with a value."""
    words: list[str] = []
    given = set()
    options = [option for option in Later(command).loaded.params if option.param_type_name == "option"]
    for option in draw.sample(options, min(len(options), draw.choices(range(5), [25, 35, 25, 10, 5])[0])):
        name = max(option.opts, key=len)
        if name in FLAGS and draw.random() < 0.8:
            continue
        given.add(name)
        words.append(draw.choice(option.opts))
        if not option.is_flag:
            words.append(_word(draw, *VALUES.get(name, (ANY, ANY))))
    for name, value in ALWAYS.get(command, ()):
        if name not in given and draw.random() < 0.97:
            words += [name, value] if value else [name]
    return words
