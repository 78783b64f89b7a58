"""The same bits beside other programs: neither the load nor the program's own choice of threads is in them."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from resbench.gradients.measure import gradflow
from resbench.training.degradation import degradation


@contextmanager
def load():
    """A busy program on each core."""
    busy = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.wait()


@contextmanager
def process_threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


HALF = {"epochs": 2, "batch": 718}
"""Two steps an epoch are enough to differ in."""


def trained(folder, **more):
    found = degradation("resnet8", "3x8x8", **HALF, folder=folder, **more)
    return [epoch[:-1] for epoch in found.trainings[0].history], weights(folder)


def weights(folder):
    return {path.name: torch.load(path, weights_only=True)["state"]["model"] for path in folder.glob("*.pt")}


def equal(a, b):
    (name, one), (other, two) = (*a.items(), *b.items())
    return name == other and all(torch.equal(one[key], two[key]) for key in one)


def test_a_training_that_is_resumed_under_another_load_is_the_same_bit_for_bit(tmp_path):
    whole = trained(tmp_path / "whole", threads=2)
    with load():
        begun = degradation(
            "resnet8",
            "3x8x8",
            **HALF,
            threads=2,
            folder=tmp_path / "parts",
            watch=lambda _: os.kill(os.getpid(), signal.SIGINT),
        )
    assert begun.interrupted
    assert len(begun.trainings[0].history) == 1
    parts = trained(tmp_path / "parts", threads=2)
    assert parts[0] == whole[0]
    assert equal(parts[1], whole[1])


def test_the_threads_that_are_asked_for_give_the_bits_and_are_in_key_and_record(tmp_path):
    with process_threads(2):
        one = trained(tmp_path / "one", threads=1)
        two = degradation("resnet8", "3x8x8", epochs=0.2, folder=tmp_path / "both")
        assert torch.get_num_threads() == 2
    with process_threads(1):
        assert equal(trained(tmp_path / "again")[1], one[1])
        alone = degradation("resnet8", "3x8x8", epochs=0.2, folder=tmp_path / "both")
    assert len([*(tmp_path / "both").glob("*.pt")]) == 2, "one must not go on from the other"
    assert (two.environment.volatile["threads"], alone.environment.volatile["threads"]) == (2, 1)
    assert two.environment.id == alone.environment.id
    assert "2 threads" in two.tables()[-1].notes[-1 if two.environment.volatile["waiting"] == "passive" else -2]


def test_gradients_keep_their_bits_on_the_threads_that_are_asked_for():
    with process_threads(2):
        one = gradflow("resnet8", seeds=1, steps=(0,), batch=8, threads=1)
    with process_threads(1):
        again = gradflow("resnet8", seeds=1, steps=(0,), batch=8)
    assert one.flows == again.flows
    assert (one.recipe.threads, again.recipe.threads) == (1, 1)
    assert one.environment.id == again.environment.id


@pytest.mark.parametrize("ask", [degradation, gradflow])
def test_no_threads_at_all_are_refused(ask):
    with pytest.raises(Exception, match="expected threads of at least 1, a whole number; received 0"):
        ask("resnet8", threads=0)
