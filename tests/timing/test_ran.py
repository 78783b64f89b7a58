"""What ran is read back from the process that was timed, and labels its figures."""

import copy
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import resbench
from resbench.codec import decoded, encoded
from resbench.costs.measure import cost
from resbench.results import load, read
from resbench.timing.latency.result import Latencies, Latency, Reading
from resbench.timing.layers.result import Layers
from resbench.timing.memory.result import Memories
from resbench.timing.profile.result import Profile
from resbench.timing.ran import Ran, observed, setup_words
from resbench.timing.roofline import Roof
from resbench.workers.switches import settings_kept
from resbench.workers.workload import Setup, Workload

GOLDEN = Path(__file__).parent.parent / "golden/stored"

IMAGES = (1, 3, 16, 16)
OTHER = 1 if torch.get_num_threads() > 1 else 2
"""A number of threads that is not torch's own choice here."""


@pytest.fixture(autouse=True)
def as_before():
    """No test leaves a switch to the next."""
    threads = torch.get_num_threads()
    with settings_kept():
        yield
    torch.set_num_threads(threads)


def net():
    """432 MACs a pixel, 256 pixels, and 16 x 10 of the classifier: 110,752."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )


class Before(nn.Module):
    """A network that does something before it runs, in each forward."""

    def __init__(self, act, made=net):
        super().__init__()
        self.act, self.made = act, made()

    def forward(self, x):
        self.act()
        return self.made(x)


class Recording(nn.Module):
    """A network that records gradients whoever calls it."""

    def __init__(self):
        super().__init__()
        self.made = net()

    def forward(self, x):
        with torch.enable_grad():
            return self.made(x)


class Mixed(nn.Module):
    """A convolution in bf16 (84,672 MACs at 14x14) and one in fp32 (331,776 at 12x12)."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3).bfloat16(), nn.Conv2d(16, 16, 3)

    def forward(self, x):
        return self.b(self.a(x.bfloat16()).float())


class Last(nn.Module):
    """A network that lays its images out itself."""

    def __init__(self):
        super().__init__()
        self.made = net()

    def forward(self, x):
        return self.made(x.contiguous(memory_format=torch.channels_last))


def ran(model, **setup):
    work = Workload(model, IMAGES, Setup(**setup))
    with work.ready():
        work.run()
        return observed(work)


def test_an_ordinary_network_ran_as_it_was_asked():
    for setup in (Setup(), Setup(mode="training"), Setup(dtype="bf16"), Setup(memory_format="channels_last")):
        work = Workload(net(), IMAGES, setup)
        with work.ready():
            found = observed(work)
        assert found.differences(setup) == []
        assert (found.dtype, found.memory_format) == (setup.dtype, setup.memory_format)
        assert setup_words(setup, found) == setup_words(setup)


def test_the_dtype_is_that_of_the_products_by_their_macs():
    assert ran(net()).products == (("fp32", 110_752),)
    assert ran(net(), mode="training").products == (("fp32", 2 * 110_592 + 3 * 160),)  # no gradient of the image
    assert ran(Mixed()).products == (("fp32", 331_776), ("bf16", 84_672))


@pytest.mark.parametrize(
    ("model", "asked", "dtype"),
    [
        (net().bfloat16(), "fp32", "bf16"),
        (net().double(), "fp32", "fp64"),
        (net().double(), "bf16", "fp64"),  # autocast leaves float64 alone
        (net().half(), "bf16", "bf16"),
        (Mixed(), "fp32", "fp32+bf16 mixed"),
        (Mixed(), "bf16", "bf16"),
        (nn.ReLU(), "fp32", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_label_is_the_dtype_that_ran(model, asked, dtype):
    found = ran(model, dtype=asked)
    assert found.dtype == dtype
    said = [f"its products ran in {dtype}, {asked} was asked for"] if dtype not in ("", asked) else []
    assert found.differences(Setup(dtype=asked)) == said
    assert (dtype or asked) in setup_words(Setup(dtype=asked), found)


CHOICES = {
    "deterministic algorithms were on": lambda: torch.use_deterministic_algorithms(True),
    "anomaly detection was on": lambda: torch.autograd.set_detect_anomaly(True),
    "oneDNN was off": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "torch's default dtype was not float32": lambda: torch.set_default_dtype(torch.float64),
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("words", CHOICES)
@pytest.mark.parametrize("when", ["made", "run"])
def test_a_switch_of_the_model_is_said_when_it_is_made_or_run(words, when):
    if when == "made":
        CHOICES[words]()
        with torch.device("cpu"):
            model = net().float()
    else:
        model = Before(CHOICES[words])
    found = ran(model)
    assert found.switches == (words,)
    assert words in setup_words(Setup(), found)


def test_a_switch_that_is_set_back_behind_each_product_is_seen():
    class Narrow(nn.Linear):
        def forward(self, x):
            torch.set_num_threads(OTHER)
            try:
                return super().forward(x)
            finally:
                torch.set_num_threads(own)

    own = torch.get_num_threads()
    assert ran(nn.Sequential(nn.Flatten(), Narrow(768, 10))).threads == (OTHER,)
    assert torch.get_num_threads() == own


def test_a_precision_chosen_in_the_forward_is_said():
    found = ran(Before(lambda: torch.set_float32_matmul_precision("medium")))
    assert found.products == (("fp32", 110_592), ("fp32 as bf16", 160))
    assert ran(net()).products == (("fp32", 110_752),)  # ours is put back


def test_gradients_recorded_in_inference_are_said():
    assert ran(Recording()).switches == ("gradients were recorded",)
    assert ran(Recording(), mode="training").switches == ()


def test_a_network_that_lays_out_its_images_itself_is_labelled_so():
    found = ran(Last())
    assert found.differences(Setup()) == ["its images were channels_last, contiguous was asked for"]
    assert "channels_last" in setup_words(Setup(), found)


def test_threads_of_the_model_are_said_beside_those_asked_for():
    own = torch.get_num_threads()
    found = ran(Before(lambda: torch.set_num_threads(OTHER)))
    assert (found.threads, found.asked_threads) == ((OTHER,), own)
    assert "are the choice of torch" in found.differences(Setup())[0]
    asked = ran(Before(lambda: torch.set_num_threads(OTHER)), threads=3)
    assert asked.differences(Setup(threads=3))[0].endswith("3 were asked for")
    assert found.threads_words in setup_words(Setup(), found)


def test_compiled_code_is_read_back_too():
    inside = net()
    inside[0] = torch.compile(inside[0], backend="eager")
    found = ran(inside)
    assert found.differences(Setup()) == ["compiled code of its own ran in it"]
    with torch.compiler.set_stance("force_eager"):
        assert ran(net(), runtime="compile").differences(Setup(runtime="compile")) == ["no compiled code ran in it"]


def test_it_is_read_from_json_as_it_was_written():
    found = ran(Mixed())
    assert decoded(Ran, json.loads(json.dumps(encoded(found)))) == found


def made(found, model="x", **setup):
    runs = ((1e-3,), (1e-3,))
    reading = Reading(("forward",), runs, "settled", True, 0, 10**6, 10**5, 10**4, ran=found)
    return Latency(model, IMAGES, Setup(**setup), (reading,))


def test_each_row_stands_under_the_roof_of_what_ran_and_says_where_there_is_none(tmp_path):
    here = resbench.workers.environment.environment()
    one = Ran((("fp32", 9),), "cpu", (1,), 2, "contiguous", False)
    rows = (
        made(replace(one, threads=(2,)), "plain"),
        made(one, "narrow"),
        made(replace(one, products=(("fp64", 9),), threads=(2,)), "wide"),
        made(replace(one, products=(("fp32", 5), ("bf16", 4)), threads=(2,)), "mixed"),
        made(replace(one, products=(("int8", 9),), threads=(2,)), "whole"),
    )
    fp32 = Roof("cpu", "fp32", 2, "", 10e9, ((2**20, 1e9),))
    roofs = {
        "fp32": fp32,
        "fp32, 1 thread": replace(fp32, threads=1, flops_per_s=5e9),
        "fp64": replace(fp32, dtype="fp64", flops_per_s=4e9),
    }
    result = Latencies(rows, roofs, here)
    (table,) = result.tables()
    shares = [record["of_roof"] for record in table.records()]
    assert shares == [0.2, 0.4, 0.5, None, None]  # 2 GFLOP/s each
    text = "\n".join(table.remarks)
    assert "mixed, batch 1: no share of a roof" in text
    assert "whole, batch 1: no share of a roof, for there is none of int8 on cpu with 2 threads." in text
    assert "narrow, batch 1: it ran with 1 thread, 2 are the choice of torch." in text
    assert "Setup of plain: cpu, fp32" in text
    assert "Setup of narrow: cpu, fp32, contiguous, inference, warm caches, 1 thread." in text
    result.save(tmp_path / "latencies.json")
    again = load(tmp_path / "latencies.json")
    assert again == result
    assert [one.roof(again.roofs) for one in again.latencies[:2]] == [fp32, roofs["fp32, 1 thread"]]
    assert again.latencies[1].ran.differences(Setup()) == ["it ran with 1 thread, 2 are the choice of torch"]


def test_compare_holds_what_ran_against_its_like_alone():
    here = resbench.workers.environment.environment()
    one = Ran((("fp32", 9),), "cpu", (2,), 2, "contiguous", False)
    rows = (
        made(one, "plain"),
        made(replace(one, products=(("fp64", 9),)), "wide"),
        made(replace(one, threads=(1,)), "one"),
    )
    found = {figure.model: figure.conditions for figure in Latencies(rows, {}, here.on(2)).figures()}
    assert "cpu, fp32, contiguous" in found["plain"]
    assert "cpu, fp64, contiguous" in found["wide"]
    assert ", 2 threads, torch" in found["plain"]
    assert ", 1 thread, torch" in found["one"]


def test_what_an_earlier_version_stored_is_read_and_stands_under_the_roof_of_what_was_asked():
    again = read(GOLDEN / "latency-plain-e460e53.json.gz").result
    for one in again.latencies:
        assert one.ran is None
        assert one.roof(again.roofs) == again.roofs["fp32"]


FILE = """
import torch
from torch import nn

def narrow():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).double()

def half():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).bfloat16()
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(FILE)
    return f"file:{path}"


def test_latency_labels_a_row_by_the_process_that_ran_it(cli, quick, nets, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # of the process to come
    done = cli(
        *("latency", f"{nets}:narrow", "--input", "3x16x16", "--processes", "1", "--dtype", "bf16", "-f", "json")
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    ran = document["latencies"][0]["readings"][0]["ran"]
    assert (ran["dtype"], ran["threads"], ran["asked_threads"]) == ("fp64", [1], 2)
    result = decoded(Latencies, document)
    (narrow,) = result.latencies
    assert narrow.ran.differences(narrow.setup) == [
        "its products ran in fp64, bf16 was asked for",
        "it ran with 1 thread, 2 are the choice of torch",
        "deterministic algorithms were on",
    ]
    assert {key: roof["threads"] for key, roof in document["roofs"].items()} == {"fp64": 1}
    assert result.to_pandas()["of_roof"][0] > 0
    assert document["environment"]["volatile"]["threads"] == 1


def test_layers_memory_and_profile_label_what_ran(cli, quick, nets, tmp_path):
    common = (f"{nets}:half", "--input", "3x16x16", "-f", "json")
    timed = json.loads(cli("latency", "--layers", *common).stdout)
    assert (timed["ran"]["dtype"], timed["roof"]["dtype"]) == ("bf16", "bf16")
    both = json.loads(cli("latency", "--memory", "--mode", "training", *common).stdout)
    (held,) = both["reports"]
    assert held["ran"]["dtype"] == "bf16"
    for what in ("weights", "gradients", "optimizer", "input"):
        assert held["predicted"][what] == held["measured"][what] > 0
    earlier = {key: value for key, value in timed.items() if key != "ran"}
    assert decoded(Layers, earlier).ran is None
    assert decoded(Layers, timed).ran == decoded(Ran, timed["ran"])
    assert [one.ran for one in decoded(Memories, both).reports] == [decoded(Ran, held["ran"])]
    profiled = decoded(Profile, json.loads(cli("profile", *common, "--trace", str(tmp_path / "runs")).stdout))
    assert profiled.ran.differences(profiled.setup) == ["its products ran in bf16, fp32 was asked for"]


def test_in_python_what_ran_is_part_of_the_value(quick):
    one = resbench.latency(net().double(), (3, 16, 16))
    assert one.ran.dtype == "fp64"
    assert one.setup.dtype == "fp32"
    assert "torch._dynamo" not in sys.modules or not one.ran.compiled


def test_the_room_that_a_model_needs_is_asked_for_in_its_own_type():
    from resbench.timing.memory.prediction import predicted

    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    wide, narrow = (predicted(cost(one, (3, 8, 8)), Setup()) for one in (net, copy.deepcopy(net).bfloat16()))
    assert wide.weights == 2 * narrow.weights == 4 * 224
    assert wide.peak == 2 * narrow.peak
