"""The folder in which every line of a storm runs: small models and stored results, good ones and damaged ones."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STORED = ROOT / "tests" / "golden" / "stored"
KEPT = {
    "flops.json": "flops-from-python-6e6bac7.json.gz",
    "degradation.json.gz": "degradation-epochs-6e6bac7.json.gz",
    "gradflow.json.gz": "gradflow-*.json.gz",
    "latency.json": "latency-plain-e460e53.json.gz",
}

NET = """
import sys

from torch import nn


def small():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, 10))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        return self.a(x) if x.mean() > 0 else self.b(x)


def branches():
    return Branches()


def raises():
    raise ValueError("no\\nmodel\\x1b[31m")


def nothing():
    return None


def ends():
    sys.exit("enough")


def talks():
    print("a word", flush=True)
    return small()
"""

SUITE = """
import torch  # noqa: F401


def test_adds(benchmark):
    benchmark(sum, range(1000))


def test_net(resbench):
    resbench("resnet8")
"""


def make(folder: Path) -> None:
    """Make the folder."""
    folder.mkdir(parents=True)
    write = {
        "net.py": NET,
        "broken.py": "def small(:\n",
        "notes.txt": "Not a number.\n" * 20,
        "empty.toml": "",
        "bad.toml": "[[networks]]\nmodel = 3\n",
        "space.toml": '[[networks]]\nmodel = "resnet{depth}"\ndepth = [8, 14]\nwidth = [1, 2, 3, 4]\n',
        "bench_it.py": SUITE,
        "suite.toml": 'files = ["bench_it.py"]\nexpectations = "expected"\n',
        "odd.json": "[]",
        "deep.json": "[" * 100_000,
    }
    for name, text in write.items():
        (folder / name).write_text(text)
    for name in ("data", "stored"):
        (folder / name).mkdir()
    for name, source in KEPT.items():
        path = folder / "stored" / name
        data = gzip.decompress(max(STORED.glob(source)).read_bytes())
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (folder / "link.json").symlink_to("stored/flops.json")
    subprocess.run([sys.executable, __file__, str(folder)], check=True, cwd=folder)
    for name in ("a", "b"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "bench_it.py", "-o", "addopts="]
        command += ["-o", "python_files=bench_*.py", f"--benchmark-json={name}.json"]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    trained = "resnet8 --epochs 0.2 --batch 64 --dir trained"
    for words in (
        f"degradation {trained} -o stored/trained.json",
        f"landscape {trained} --points 3 --images 16 -o stored/plane.json",
        "history a.json --dir past",
        "gate --update --suite suite.toml",
        "search space.toml --minimize macs,params --budget 4 --dir searched",
    ):
        subprocess.run([sys.executable, "-m", "resbench", *words.split()], check=True, cwd=folder, capture_output=True)
    for whole, part in (
        ("net.onnx", "cut.onnx"),
        ("net.pt2", "cut.pt2"),
        ("resnet8.pt", "cut.pt"),
        ("resnet8.safetensors", "cut.safetensors"),
        ("stored/degradation.json.gz", "cut.json.gz"),
        ("stored/flops.json", "cut.json"),
    ):
        data = (folder / whole).read_bytes()
        (folder / part).write_bytes(data[: 2 * len(data) // 3])
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    commands = ["init -q -b main", "add -A", "-c user.name=s -c user.email=s@example.org commit -qm one"]
    for words in commands:
        subprocess.run(["git", *words.split()], check=True, cwd=folder)
    assert json.loads((folder / "a.json").read_text())["benchmarks"]


def _models(folder: Path) -> None:
    """In a process of its own, which loads torch: write models and weights, and a sweep."""
    import torch
    from safetensors.torch import save_file

    import resbench

    sys.path.insert(0, str(folder))
    import net

    small, x = net.small().eval(), torch.zeros(1, 3, 16, 16)
    torch.onnx.export(small, (x,), folder / "net.onnx", dynamo=True, external_data=False)
    torch.export.save(torch.export.export(small, (x,)), folder / "net.pt2")
    state = resbench.build("resnet8", seed=0).state_dict()
    torch.save(state, folder / "resnet8.pt")
    save_file(state, folder / "resnet8.safetensors")
    resbench.sweep("residual", 8, folder=folder / "swept")


if __name__ == "__main__":
    _models(Path(sys.argv[1]))
