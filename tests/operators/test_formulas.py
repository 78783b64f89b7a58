"""Formulas from outside: of users, by a decorator or an entry point, and of torch's own counter."""

import pytest
import torch
from commands import forked
from torch import Tensor, nn
from torch.utils import flop_counter

import resbench
from resbench.costs.trace import trace
from resbench.counters.watch import count
from resbench.errors import OptionError, TraceError
from resbench.operators import formulas
from resbench.workers.workload import Setup, Workload


@torch.library.custom_op("resbench_tests::scan", mutates_args=())
def scan(x: Tensor, weight: Tensor, steps: int = 1, *, scale: float = 1.0) -> Tensor:
    """Each step multiplies all of x by the weight (k, n)."""
    return (x @ weight).mul(scale * steps)


@scan.register_fake
def _(x, weight, steps=1, *, scale=1.0):
    return x.new_empty(*x.shape[:-1], weight.shape[1])


class Net(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.fc, self.weight, self.options = nn.Linear(8, 6), nn.Parameter(torch.zeros(6, 3)), options

    def forward(self, x):
        return scan(self.fc(x), self.weight, **self.options)


SHAPE = (2, 5, 8)
LINEAR = 10 * 8 * 6


@pytest.fixture(autouse=True)
def no_formulas_left(monkeypatch):
    monkeypatch.setattr(formulas, "FORMULAS", {})
    monkeypatch.setattr(flop_counter, "flop_registry", registry := dict(flop_counter.flop_registry))
    monkeypatch.setattr(formulas, "flop_registry", registry)
    yield
    formulas._load.cache_clear()


def test_without_a_formula_the_operator_is_named():
    report = trace(Net(), SHAPE)
    assert (report.macs, report.uncounted) == (LINEAR, (("resbench_tests.scan", 1),))


def test_a_users_formula_counts_their_operator():
    @resbench.formula(torch.ops.resbench_tests.scan)
    def scanned(x, weight, steps=1, *, out, scale=1.0):
        return steps * x.numel() * weight.shape[1], out.numel()

    report = trace(Net(steps=3, scale=2.0), SHAPE)
    assert (report.macs, report.elementwise) == (LINEAR + 3 * 10 * 6 * 3, 10 * 6 + 10 * 3)
    assert report.uncounted == ()
    assert report.layers[-2][:3] == ("scan", "Scan", (2, 5, 3))
    assert dict(report.kinds) == {"linear": LINEAR, "matrix product": 3 * 10 * 6 * 3}


@pytest.mark.parametrize(
    "operator",
    [scan, torch.ops.resbench_tests.scan, torch.ops.resbench_tests.scan.default, "resbench_tests::scan"],
    ids=["custom_op", "packet", "overload", "name"],
)
def test_an_operator_may_be_given_in_any_form(operator):
    resbench.formula(operator)(lambda *args, out, **kwargs: 7)
    assert trace(Net(), SHAPE).macs == LINEAR + 7


def test_a_run_counts_by_the_same_formula():
    resbench.formula(scan)(lambda x, weight, *rest, out: x.numel() * weight.shape[1])
    work = Workload(Net().eval(), SHAPE, Setup(batch=2))
    with work.ready():
        assert count(work, graph=False).totals["macs"] == LINEAR + 10 * 6 * 3


def test_a_users_formula_comes_before_a_rule():
    resbench.formula("aten::addmm")(lambda *args, out: 1)
    assert trace(nn.Linear(8, 6), SHAPE).macs == 1


def test_what_torchs_counter_was_told_is_read_too():
    @flop_counter.register_flop_formula(torch.ops.resbench_tests.scan)
    def scanned(x, weight, *args, out_shape=None, **kwargs):
        return 2 * x[0] * x[1] * x[2] * weight[1]

    report = trace(Net(), SHAPE)
    with flop_counter.FlopCounterMode(display=False) as theirs:
        Net()(torch.zeros(SHAPE))
    assert report.flops == theirs.get_total_flops() == 2 * (LINEAR + 10 * 6 * 3)
    assert report.uncounted == ()


def test_a_formula_that_raises_is_one_line_that_names_the_operator():
    resbench.formula(scan)(lambda x, weight, *, out: x.shape[7])
    with pytest.raises(TraceError, match=r"the formula of resbench_tests\.scan failed: IndexError: ") as error:
        trace(Net(), SHAPE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [None, 1.5, -1, "many", (1, 2, 3), (1, None), True])
def test_a_formula_that_gives_no_number_is_one_line_that_names_the_operator(given):
    resbench.formula(scan)(lambda *args, out, **kwargs: given)
    with pytest.raises(
        TraceError, match=r"^the formula of resbench_tests\.scan: expected MACs, or MACs and elem.*whole"
    ):
        trace(Net(), SHAPE)


@pytest.mark.parametrize("operator", ["scan", "", "mine::", 3, None])
def test_what_is_no_operator_is_refused_in_one_line(operator):
    with pytest.raises(OptionError, match=r"^expected an operator .*torch\.ops\.mine\.scan.*, received "):
        resbench.formula(operator)


def installed(folder, module, code):
    """A package whose entry point gives formulas."""
    (folder / f"{module}.py").write_text(code)
    metadata = folder / "mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[resbench.formulas]\nmine = {module}\n")


COUNTS = "import resbench\nresbench.formula('resbench_tests::scan')(lambda *args, out, **kwargs: 11)\n"


def test_an_installed_package_gives_formulas_by_its_entry_point(tmp_path, monkeypatch):
    installed(tmp_path, "formulas_that_count", COUNTS)
    monkeypatch.syspath_prepend(tmp_path)
    formulas._load.cache_clear()
    assert trace(Net(), SHAPE).macs == LINEAR + 11


def test_an_entry_point_that_fails_is_one_line_that_names_it(tmp_path, monkeypatch):
    installed(tmp_path, "formulas_that_fail", "raise ValueError('no luck')")
    monkeypatch.syspath_prepend(tmp_path)
    formulas._load.cache_clear()
    with pytest.raises(
        OptionError, match=r"^entry point mine = formulas_that_fail of resbench\.formulas failed: Val.*: no luck"
    ):
        trace(Net(), SHAPE)


def test_the_command_line_counts_by_a_formula_that_the_model_file_gives(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch, resbench\n"
        "@torch.library.custom_op('mine::double', mutates_args=())\n"
        "def double(x: torch.Tensor) -> torch.Tensor: return 2 * x\n"
        "@double.register_fake\n"
        "def _(x): return torch.empty_like(x)\n"
        "@resbench.formula(double)\n"
        "def doubled(x, *, out): return x.numel()\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x): return double(x)\n"
    )
    name = f"file:{tmp_path}/mine.py:Net,input=3x4x5"
    done = forked("from resbench.cli.main import main; main()", "flops", name, "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert ",60,120," in done.stdout
    assert "not counted" not in done.stdout + done.stderr
