"""Counting an ONNX file as a process: its CPU seconds and its memory, beside others that do the same or less.

    python suites/onnx_start.py --with FOLDER -n 9

They take turns, each first in its turn, and all have their bytecode, as an installed package has. FOLDER has onnx-tool
(`pip install --no-deps --target FOLDER onnx-tool`). The file is torchvision's ResNet-50 as torch exports it by its
older exporter, 98 MiB with its weights inside; a second one has 2 GiB of weights beside it, of which no block is on the
disk. What reads a file by the package onnx takes no less than `import onnx`. Ratios are medians of one
turn each, with their range.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from statistics import median

INFER = "import onnx; onnx.shape_inference.infer_shapes(onnx.load({file!r}), data_prop=True)"
PROFILE = "import onnx_tool; onnx_tool.model_profile({file!r})"


OURS, BARE, TOOL = "resbench flops onnx:resnet50.onnx", "python -c 'import onnx'", "onnx-tool resnet50.onnx"


def make(folder: Path) -> None:
    """Write both files."""
    import onnx
    import torch

    import resbench

    warnings.simplefilter("ignore")
    small, large = folder / "resnet50.onnx", folder / "large.onnx"
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        torch.onnx.export(resbench.build("resnet50").eval(), (torch.zeros(1, 3, 224, 224),), small, dynamo=False)
    width = 2**14
    weight = onnx.TensorProto(name="fc.weight", data_type=onnx.TensorProto.FLOAT, dims=[2 * width, width])
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "large.data"), ("offset", "0"), ("length", str(8 * width**2))):
        weight.external_data.add(key=key, value=value)
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [1, side]) for name, side in (("x", width), ("y", 2 * width)))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", ["x", "fc.weight"], ["y"], transB=1)], "net", [x], [y], [weight]
    )
    onnx.save(onnx.helper.make_model(graph), large)
    with (folder / "large.data").open("wb") as file:
        file.truncate(8 * width**2)


def taken(words: list[str], folder: Path | None) -> tuple[float, float]:
    """CPU seconds, and the most MiB that were resident."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder or "")])),
    }
    process = subprocess.Popen(
        [sys.executable, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, said.decode()
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with", dest="folder", type=Path)
    parser.add_argument("-n", type=int, default=9)
    parser.add_argument("--make", type=Path, help="only write the files there")
    options = parser.parse_args()
    if options.make:
        make(options.make)
        return
    with tempfile.TemporaryDirectory() as folder:
        # a child begins as large as its parent was: torch stays in a process of its own
        subprocess.run([sys.executable, __file__, "--make", folder], check=True)
        small, large = Path(folder, "resnet50.onnx"), Path(folder, "large.onnx")
        tasks = {
            OURS: ["-m", "resbench", "flops", f"onnx:{small}"],
            "python -c 'import torch'": ["-c", "import torch"],
            BARE: ["-c", "import onnx"],
            "resbench flops resnet50": ["-m", "resbench", "flops", "resnet50"],
            "onnx.load and infer_shapes": ["-c", INFER.format(file=str(small))],
            **({TOOL: ["-c", PROFILE.format(file=str(small))]} if options.folder else {}),
            "resbench flops onnx:large.onnx (2 GiB)": ["-m", "resbench", "flops", f"onnx:{large}"],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
        for words in tasks.values():
            taken(words, options.folder)
        for turn in range(options.n):
            names = [*tasks]
            for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
                found[name].append(taken(tasks[name], options.folder))
    packages = ("torch", "onnx", "numpy", "protobuf")
    said = ", ".join(f"{one} {version(one)}" for one in packages)
    print(f"python suites/onnx_start.py --with FOLDER -n {options.n}   # {said}")
    columns = ("CPU (s)", 8), ("least", 7), ("most", 7), ("resident (MiB)", 15), ("ours of it", 11), ("range", 15)
    print(f"{'process':40} {' '.join(name.rjust(width) for name, width in columns)}")
    for name, turns in found.items():
        seconds = sorted(one for one, _ in turns)
        ratios = sorted(ours / other for (ours, _), (other, _) in zip(found[OURS], turns, strict=True))
        most = max(most for _, most in turns)
        span = f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
        print(f"{name:40} {median(seconds):8.3f} {seconds[0]:7.3f} {seconds[-1]:7.3f} {most:15.0f} "
              f"{median(ratios):11.3f} {span:>15}")  # fmt: skip
    if options.folder:
        shares = [bare / tool for (bare, _), (tool, _) in zip(found[BARE], found[TOOL], strict=True)]
        print(f"{BARE} alone takes {median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f}) of {TOOL}")


if __name__ == "__main__":
    main()
