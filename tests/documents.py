"""JSON of every command that stores results, made once: by the commands in this process, and the latency by a few runs,
for the command takes its time."""

import json
from pathlib import Path

import pytest
from commands import called, made_once
from quickly import measure_quickly

COMMANDS = {
    "flops.json": "flops plain20 resnet20 googlenet",
    "latency.json": "latency resnet20 --processes 2",
    "layers.json": "latency resnet20 --layers --plot roof.svg",
    "memory.json": "latency resnet20 --memory --mode training",
    "gradflow.json": "gradflow plain20 resnet20 --steps 0,1 --seeds 2 --batch 16",
    "degradation.json": "degradation plain20 resnet20 --epochs 1 --seeds 2 --input 3x8x8 --probe 5 --dir runs",
    "placements.json": "placements --depth 8 --table shortcuts --epochs 0.2 --dir placed",
    "claims.json": "claims 8 9",
}


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """A folder with a file of each command."""
    return made_once(tmp_path_factory, "documents", make)


def make(folder):
    with pytest.MonkeyPatch.context() as patch:
        measure_quickly(patch, folder)
        patch.chdir(folder)
        Path("latency.json").write_text(latencies().to_json(f"resbench {COMMANDS['latency.json']} -o latency.json"))
        for name in COMMANDS:
            if name != "latency.json":
                done = called(*COMMANDS[name].split(), "-o", name)
                assert not done.returncode, done.stderr


def changed(path, change):
    """The document in a file after a change to it in place, as text."""
    document = json.loads(path.read_text())
    change(document)
    return json.dumps(document, indent=1)


def latencies():
    """The result of two readings."""
    from resbench.timing.case import Case, workload
    from resbench.timing.latency.result import Latencies, Latency
    from resbench.timing.latency.worker import read
    from resbench.timing.roofline import roof
    from resbench.workers.environment import environment
    from resbench.workers.workload import Setup

    setup = Setup()
    work, name = workload(Case("resnet20", None, setup))
    with setup.applied():
        ceiling = roof("cpu")
    one = Latency(name, tuple(work.inputs[0].shape), setup, (read(work), read(work)), 0.02, 3)
    return Latencies((one,), {"fp32": ceiling}, environment())
