"""The ceilings: their arithmetic by hand, their cache, and that they are measured at all. Tiny sizes: no speed is
judged here."""

import itertools
import json
import time
from dataclasses import replace
from math import inf

import pytest
import torch

from resbench.errors import MeasureError, OptionError
from resbench.timing import roofline
from resbench.timing.roofline import Roof, roof
from resbench.workers.environment import available_bytes, environment
from resbench.workers.workload import Setup

KIB, MIB = 2**10, 2**20

HAND = Roof(
    "cpu",
    "fp32",
    2,
    "0123456789ab",
    flops_per_s=100e9,
    copies=((64 * KIB, 40e9), (MIB, 80e9), (16 * MIB, 50e9), (256 * MIB, 10e9)),
)


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Small products and copies, a cache of the test's own, and other programs do not matter; gives the cache."""
    monkeypatch.setitem(roofline.SIZES, "cpu", (32, 64))
    monkeypatch.setitem(roofline.LADDERS, "cpu", (64 * KIB, 256 * KIB))
    monkeypatch.setattr(roofline, "EACH_S", 0.005)
    monkeypatch.setattr(roofline, "CALM", inf)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "resbench"


@pytest.mark.parametrize(
    ("nbytes", "expected"),
    [
        (0, 80e9),
        (1, 80e9),
        (64 * KIB, 80e9),  # the smallest copy is slowed by its call: a larger one is the ceiling
        (MIB, 80e9),
        (32 * MIB - 1, 80e9),  # written in place, it may still lie in the cache that holds 1 MiB
        (32 * MIB, 50e9),
        (512 * MIB, 10e9),
        (10**12, 10e9),
    ],
)
def test_a_layer_may_lie_in_the_cache_that_its_bytes_fill(nbytes, expected):
    assert HAND.rate(nbytes) == expected


def test_the_ceiling_never_rises_with_the_bytes_and_never_falls_below_memory():
    for rates in itertools.permutations((10e9, 40e9, 50e9, 80e9)):
        steps = [step for step, _ in HAND.copies]
        shuffled = replace(HAND, copies=tuple(zip(steps, rates, strict=True)))
        along = [shuffled.rate(2**k + odd) for k in range(10, 32) for odd in (-1, 0, 1)]
        assert along == sorted(along, reverse=True)
        assert along[-1] == shuffled.bytes_per_s == rates[-1]
        assert min(along) >= shuffled.bytes_per_s


@pytest.mark.parametrize(
    ("flops", "nbytes", "seconds", "bound"),
    [
        (200e9, MIB, 2.0, "compute"),
        (1e9, 1e9, 0.1, "memory"),  # 0.01 s of FLOPs, 1 GB at 10 GB/s
        (0, 50e6, 0.001, "memory"),  # an addition: no MACs; 50 MB at 50 GB/s
        (10e9, 1e9, 0.1, "compute"),  # both alike
    ],
)
def test_attainable_time_is_that_of_the_slower_need(flops, nbytes, seconds, bound):
    assert HAND.attainable_s(flops, nbytes) == pytest.approx(seconds)
    assert HAND.bound(flops, nbytes) == bound


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16", "fp64"])
def test_ceilings_are_measured_in_every_dtype_of_a_cpu(quick, dtype):
    measured = roof("cpu", dtype)
    assert (measured.device, measured.dtype, measured.threads) == ("cpu", dtype, torch.get_num_threads())
    assert measured.environment == environment("cpu").timed.id
    assert 0 < measured.flops_per_s < inf
    assert [step for step, _ in measured.copies] == [64 * KIB, 256 * KIB]
    assert all(0 < rate < inf for _, rate in measured.copies)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("rates", [(1e9, 4e9), (4e9, 1e9)], ids=["imitated", "multiplied"])
def test_what_a_cpu_only_imitates_is_held_under_its_products_in_fp32(quick, monkeypatch, dtype, rates):
    by_dtype = {roofline.PRODUCTS[dtype]: rates[0], torch.float32: rates[1]}
    monkeypatch.setattr(roofline, "_products", lambda setup, sizes, one: by_dtype[one])
    assert roof("cpu", dtype).flops_per_s == 4e9
    assert roof("cpu", "fp32").flops_per_s == rates[1]


def test_no_small_product_passes_the_ceiling(monkeypatch):
    """One of 32x32, whose call takes longer than its arithmetic."""
    monkeypatch.setattr(roofline, "EACH_S", 0.1)
    flops_per_s, _ = roofline._measure(Setup(), (256, 512), (64 * KIB,))
    a, best_s = torch.ones(32, 32), inf
    for _ in range(20):
        start = time.perf_counter()
        torch.mm(a, a)
        best_s = min(best_s, time.perf_counter() - start)
    assert 2 * 32**3 / best_s <= flops_per_s


def test_measuring_leaves_random_numbers_threads_and_collector_alone(quick):
    import gc

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    before = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, gc.isenabled()
    roof()
    assert torch.equal(torch.rand(3), expected)
    assert (torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, gc.isenabled()) == before
    assert not torch.is_inference_mode_enabled()


def test_a_second_call_reads_what_the_first_wrote(quick):
    first = roof()
    (path,) = quick.iterdir()
    assert first.environment in path.name
    assert roof() == first
    kept = json.loads(path.read_text())
    assert kept["schema"] == 2
    path.write_text(json.dumps({**kept, "flops_per_s": 123.0}))  # what no machine measures
    assert roof() == replace(first, flops_per_s=123.0)
    assert roof(fresh=True).flops_per_s != 123.0
    assert json.loads(path.read_text())["flops_per_s"] != 123.0


def test_each_dtype_and_number_of_threads_has_ceilings_of_its_own(quick):
    roof("cpu", "fp32")
    roof("cpu", "bf16")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert roof("cpu", "fp32").threads == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert len(list(quick.iterdir())) == 3


DAMAGE = {
    "empty": lambda kept: "",
    "cut": lambda kept: json.dumps(kept)[:-9],
    "a list": lambda kept: "[]",
    "not text": lambda kept: b"\xff\xfe\x00",
    "future": lambda kept: json.dumps({**kept, "schema": 3}),
    "no schema": lambda kept: json.dumps({k: v for k, v in kept.items() if k != "schema"}),
    "another machine": lambda kept: json.dumps({**kept, "environment": "ba9876543210"}),
    "another device": lambda kept: json.dumps({**kept, "device": "cuda"}),
    "other threads": lambda kept: json.dumps({**kept, "threads": 999}),
    "a field more": lambda kept: json.dumps({**kept, "peak": 1}),
    "no copies": lambda kept: json.dumps({**kept, "copies": []}),
    "words": lambda kept: json.dumps({**kept, "flops_per_s": "fast"}),
    "zero": lambda kept: json.dumps({**kept, "flops_per_s": 0.0}),
    "infinite": lambda kept: json.dumps({**kept, "copies": [[inf, 1.0]]}),
    "not a number": lambda kept: json.dumps({**kept, "copies": [[65536, float("nan")]]}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_ours_is_measured_again_and_replaced(quick, damage):
    roof()
    (path,) = quick.iterdir()
    marked = {**json.loads(path.read_text()), "flops_per_s": 123.0}
    text = DAMAGE[damage](marked)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    again = roof()
    assert again.flops_per_s != 123.0
    assert len(again.copies) == 2
    assert json.loads(path.read_text())["flops_per_s"] == again.flops_per_s


def test_a_folder_in_the_place_of_the_file_is_no_error(quick):
    roof()
    (path,) = quick.iterdir()
    path.unlink()
    path.mkdir()
    assert roof().flops_per_s > 0


def test_a_cache_that_cannot_be_written_is_no_error(quick, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert roof().flops_per_s > 0
    assert (tmp_path / "file").read_text() == "in the way"


def test_ceilings_that_other_programs_disturbed_are_not_kept(quick, monkeypatch):
    monkeypatch.setattr(roofline, "CALM", 0)  # fewer than none: every measurement counts as disturbed
    assert roof().flops_per_s > 0
    assert not quick.exists()


def test_memory_that_is_not_there_is_not_taken(quick):
    """Terabytes are left out; where nothing is left, the error says how much it takes."""
    if available_bytes() is None:
        pytest.skip("this system does not say how much there is")
    flops_per_s, copies = roofline._measure(Setup(), (32, 10**6), (64 * KIB, 2**43))
    assert flops_per_s > 0
    assert [step for step, _ in copies] == [64 * KIB]
    with pytest.raises(MeasureError, match="24,000,000,000,000 bytes"):
        roofline._measure(Setup(), (10**6,), (64 * KIB,))


def test_what_the_device_cannot_do_is_refused(quick):
    with pytest.raises(MeasureError, match="tf32"):
        roof("cpu", "tf32")
    with pytest.raises(OptionError, match="int8"):
        roof("cpu", "int8")
    with pytest.raises(OptionError, match="tpu"):
        roof("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(MeasureError, match="CUDA"):
            roof("cuda")
    assert not quick.exists()
