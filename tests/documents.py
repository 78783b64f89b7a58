"""JSON of every command that stores results, made once by the commands themselves."""

import os
import subprocess
import sys

import pytest

COMMANDS = {
    "flops.json": "flops plain20 resnet20 googlenet",
    "latency.json": "latency plain20 resnet20 --processes 2",
    "layers.json": "latency resnet20 --layers --mode training",
    "memory.json": "latency resnet20 --memory --mode training",
    "gradflow.json": "gradflow plain20 resnet20 --steps 0,1 --seeds 2 --batch 16",
    "degradation.json": "degradation plain20 resnet20 --epochs 1 --seeds 2 --input 3x8x8 --probe 5 --dir runs",
    "placements.json": "placements --depth 8 --table shortcuts --epochs 0.2 --dir runs",
    "claims.json": "claims 7 8 9",
}


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """A folder with a file of each command."""
    folder = tmp_path_factory.mktemp("documents")
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    for name, command in COMMANDS.items():
        words = [sys.executable, "-m", "resbench", *command.split(), "-o", name]
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    return folder
