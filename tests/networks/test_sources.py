"""Other people's models: every source, and every way in which one can fail."""

import io
import json
import textwrap
import zipfile
from pathlib import Path

import pytest
import torch

from resbench.costs.measure import cost
from resbench.errors import OptionError, SourceError, TraceError
from resbench.networks import sources
from resbench.networks.load import load

MINE = """
import torch
from torch import nn

def net(width=8, name="x"):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU())

class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.drop = [x.item() for x in torch.linspace(0, 0.1, 3)]  # looks at values while it builds
        self.fc = nn.Linear(4, classes)
    def forward(self, x):
        return self.fc(self.stem(x).mean((2, 3)))

instance = net()
class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
    def forward(self, x):
        return self.conv(x) if x.sum() > -1e9 else x
class Mute(Exception):
    def __str__(self): raise ValueError
def quantized(): return torch.ao.nn.quantized.dynamic.Linear(32, 7)
def mute(): raise Mute
def leaves(): raise SystemExit(3)
def raises(): raise ValueError("no way\\nreally")
def number(): return 5
five = 5
def wants(x): return net()
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "resbench_test_models.py").write_text(textwrap.dedent(MINE))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "resbench_test_models.py"


def test_a_factory_of_a_module_or_of_a_file(mine):
    macs = 8 * 222 * 222 * 27
    assert cost("resbench_test_models:net").macs == macs
    assert cost(f"file:{mine}:net").macs == macs
    assert cost(f"file:{mine}:net,width=16,name=wide").macs == 2 * macs
    assert cost(f"file:{mine}:instance,input=3x10x10").macs == 8 * 8 * 8 * 27
    assert cost(f"file:{mine}:net", "3x10x10", batch=2).macs == 2 * 8 * 8 * 8 * 27


def test_a_model_that_looks_at_values_while_it_builds_still_allocates_no_weights(mine):
    loaded = load(f"file:{mine}:Net,classes=7", device="meta")
    assert all(p.is_meta for p in loaded.module.parameters())
    assert loaded.module.drop == pytest.approx([0, 0.05, 0.1])
    assert cost(f"file:{mine}:Net").params == 4 * 27 + 4 + 50


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch deprecates its quantized tensors
def test_a_model_that_looks_at_values_is_loaded_with_its_weights(mine):
    assert cost(f"file:{mine}:Branch", "3x8x8").macs == 12 * 64
    assert cost(f"file:{mine}:quantized", "1x4x32").macs == 4 * 32 * 7


def test_what_a_file_makes_itself_has_other_weights_for_another_seed(tmp_path):
    path = tmp_path / "made.py"
    path.write_text("import torch\nnet = torch.nn.Linear(2, 2)\n")
    weights = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        weights.append(load(f"file:{path}:net").module.weight)
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])


def test_a_file_with_operators_of_its_own_may_be_loaded_again(tmp_path):
    path = tmp_path / "operators.py"
    text = (
        "import torch\n"
        "@torch.library.custom_op('loaded_again::twice', mutates_args=())\n"
        "def twice(x: torch.Tensor) -> torch.Tensor:\n"
        "    return 2 * x\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return twice(x)\n"
    )
    path.write_text(text)
    first, again = (load(f"file:{path}:Net").module for _ in range(2))
    assert torch.equal(first(torch.ones(1)), again(torch.ones(1)))
    path.write_text(text.replace("2 * x", "3 * x + 0"))
    assert load(f"file:{path}:Net").module(torch.ones(1)).item() == 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("file:{mine}:nett", "has no 'nett'; it has net"),
        ("file:{mine}:raises", "the factory raised ValueError: no way"),
        ("file:{mine}:leaves", "the factory raised SystemExit: 3"),
        ("file:{mine}:mute", "the factory raised Mute: Mute"),
        ("file:{mine}:five", "five is int, expected a factory or a module"),
        ("file:{mine}:instance,width=3", "is a module, not a factory: it takes no width"),
        ("file:{mine}:number", "expected a torch.nn.Module, an Architecture or an expression, received int; make"),
        ("file:{mine}:wants", "missing 1 required positional argument: 'x'; give its arguments"),
        ("file:{mine}:net,width", "expected key=value"),
        ("file:{mine}:net,depth=3", "unexpected keyword argument 'depth'"),
        ("file:absent.py:net", "no file 'absent.py' is there"),
        ("file:{mine}", "received no factory"),
        ("nosuchsource:net", "unknown source 'nosuchsource'"),
        ("torchvision:", "expected a name after the colon"),
        ("pt2:absent.pt2", "no file absent.pt2"),
        ("pt2:{mine}", "cannot read"),
    ],
)
def test_what_goes_wrong_is_one_line(mine, name, says):
    with pytest.raises(SourceError) as caught:
        load(name.format(mine=mine))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_does_not_import_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("1/0")
    with pytest.raises(SourceError, match="raised ZeroDivisionError while it was imported"):
        load(f"file:{tmp_path}/broken.py:net")


def test_a_forward_that_fails_names_the_module_and_its_input(mine):
    with pytest.raises(TraceError, match=r"net,input=1x8x8\.0 \(Conv2d\) failed on 1x8x8"):
        cost("resbench_test_models:net,input=1x8x8")


def test_torchvision_by_name(torchvision):
    report = cost("torchvision:resnet50")
    assert (report.params, report.macs) == (25_557_032, 4_089_184_256)
    assert cost("torchvision:inception_v3").input == (1, 3, 299, 299)
    assert cost("torchvision:resnet18,num_classes=10").params == 11_689_512 - 990 * 513
    with pytest.raises(SourceError, match="did you mean resnet50"):
        load("torchvision:resent50")


def test_verify_holds_torchvisions_own_figures_beside_the_count(torchvision):
    from resbench.costs.measure import verified

    result = verified("torchvision:resnet18")
    assert result.agrees
    printed = {line.kind: line.trace for line in result.lines if line.kind.startswith("printed")}
    assert printed == {"printed parameters 11,689,512": 11_689_512, "printed MACs 1.814G": 1_814_073_344}


def test_a_regnet_that_computes_its_widths_allocates_no_weights(torchvision):
    assert all(p.is_meta for p in load("torchvision:regnet_y_400mf", device="meta").module.parameters())


def test_timm_by_name(torchvision):
    pytest.importorskip("timm")
    report = cost("timm:resnet50")
    assert (report.params, report.macs) == (25_557_032, 4_089_184_256)
    assert cost("timm:resnet50d").params == 25_576_264
    with pytest.raises(SourceError, match="timm has no model"):
        load("timm:resent50d")


def test_hugging_face_by_its_configuration_alone(tmp_path):
    pytest.importorskip("transformers")
    config = {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], "num_channels": 3}
    config |= {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]}
    config |= {"layer_type": "bottleneck", "id2label": {str(i): str(i) for i in range(1000)}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    report = cost(f"hf:{tmp_path}")
    assert (report.params, report.macs) == (25_557_032, 4_089_184_256)
    with pytest.raises(SourceError, match="no configuration there"):
        load(f"hf:{tmp_path}/absent")


def test_an_exported_program(tmp_path):
    from resbench.networks.build import build

    program = torch.export.export(build("resnet20").eval(), (torch.randn(2, 3, 32, 32),))
    torch.export.save(program, tmp_path / "net.pt2")
    report = cost(f"pt2:{tmp_path}/net.pt2")
    folded = cost("resnet20", batch=2)
    assert (report.params, report.macs) == (folded.params, folded.macs)


def export(path, net, *shapes):
    inputs = tuple(torch.randn(shape) for shape in shapes)
    torch.export.save(torch.export.export(net, inputs), path)
    return f"pt2:{path}"


class Sum(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 1)

    def forward(self, a, b):
        return self.conv(a) + b


def test_an_exported_program_of_two_inputs_runs_on_its_own(tmp_path):
    from resbench.costs.measure import verified

    name = export(tmp_path / "two.pt2", Sum(), (2, 3, 8, 8), (2, 4, 8, 8))
    assert cost(name).macs == 2 * 12 * 64
    assert verified(name).agrees
    with pytest.raises(SourceError, match="drop the batch"):
        cost(name, batch=5)
    with pytest.raises(SourceError, match="drop the input"):
        cost(name, "3x9x9")


def test_an_exported_programs_shape_is_its_own(tmp_path):
    name = export(tmp_path / "one.pt2", torch.nn.Conv2d(3, 4, 1), (2, 3, 8, 8))
    assert cost(name).input == cost(name, batch=2).input == (2, 3, 8, 8)
    with pytest.raises(TraceError, match="equal to 2, but got 5"):
        cost(name, batch=5)


class Touches:
    """What is unpickled of it touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("entry", ["sample_inputs", "weights"])
def test_an_exported_program_runs_no_code_when_it_is_read(tmp_path, entry):
    path, touched, theirs = tmp_path / "net.pt2", tmp_path / "touched", io.BytesIO()
    export(path, torch.nn.Conv2d(3, 4, 1), (2, 3, 8, 8))
    torch.save(Touches(touched), theirs)
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    changed = [name for name in held if f"/{entry}/" in name and not name.endswith(".json")]
    assert changed
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in held.items():
            data = data.replace(b'"use_pickle": false', b'"use_pickle": true') if name.endswith(".json") else data
            archive.writestr(name, theirs.getvalue() if name in changed else data)
    with pytest.raises(SourceError, match="as an exported program"):
        load(f"pt2:{path}")
    assert not touched.exists()


def test_an_exported_program_with_objects_of_other_classes_is_refused(tmp_path):
    export(tmp_path / "net.pt2", torch.nn.Conv2d(3, 4, 1), (2, 3, 8, 8))
    with zipfile.ZipFile(tmp_path / "net.pt2", "a") as archive:
        archive.writestr("net/data/constants/custom_obj_0", b"")
    with pytest.raises(SourceError, match="objects that may run code"):
        load(f"pt2:{tmp_path / 'net.pt2'}")


def test_a_file_that_is_no_exported_program_is_one_line_without_noise(mine, capfd):
    with pytest.raises(SourceError, match="as an exported program"):
        load(f"pt2:{mine}")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'timm'"), RuntimeError("operator nms")])
def test_a_missing_or_unfitting_package_is_one_line(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(sources.importlib, "import_module", fail)
    with pytest.raises(SourceError, match=r"pip install 'resbench\[timm\]'|does not import beside torch"):
        sources.package("timm")


def test_a_plugin_is_a_source(tmp_path, monkeypatch):
    (tmp_path / "acme_zoo.py").write_text(
        "from torch import nn\n\ndef make(model, width=4):\n    return nn.Sequential(nn.Conv2d(3, width, 1))\n"
    )
    installed = tmp_path / "acme_zoo-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-zoo\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[resbench.models]\nacme = acme_zoo:make\nonnx = acme_zoo:make\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert cost("acme:anything,width=6").params == 6 * 4
    with pytest.raises(SourceError, match="no file anything"):
        cost("onnx:anything")  # no plugin takes the place of a source of ours


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path):
    from resbench.networks.build import build

    torch.save(build("resnet20").state_dict(), tmp_path / "w.pth")
    assert cost(f"resnet20,weights={tmp_path}/w.pth").params == 269_722
    with pytest.raises(SourceError, match="another architecture"):
        cost(f"resnet32,weights={tmp_path}/w.pth")
    for twice in ("", f"{tmp_path}/w.pth,weights={tmp_path}/w.pth"):
        with pytest.raises(OptionError, match="expected one weights=FILE"):
            cost(f"resnet20,weights={twice}")


class Regions(torch.nn.Module):
    """A Linear 8 -> 8 in a region of its own, then another 8 -> 5, on 12 rows: 768 and 480 MACs."""

    def __init__(self, region):
        super().__init__()
        self.g, self.fc, self.region = torch.nn.Linear(8, 8, bias=False), torch.nn.Linear(8, 5), region

    def forward(self, x):
        with self.region():
            y = self.g(x)
        return self.fc(x + y)


class Branches(Regions):
    """The larger branch runs the layer twice."""

    def forward(self, x):
        return self.fc(torch.cond(x.sum() > 0, lambda x: self.g(self.g(x)), lambda x: self.g(x), (x,)))


@pytest.mark.parametrize("region", [torch.no_grad, lambda: torch.autocast("cpu", enabled=False)], ids=["grad", "cast"])
def test_rows_of_an_exported_program_are_those_of_the_modules_it_was_made_from(tmp_path, region):
    net = Regions(region).eval()
    name = export(tmp_path / "net.pt2", net, (1, 3, 4, 8))
    rows = [(row.name, row.type, row.params, row.macs) for row in cost(name).layers if row.macs]
    assert rows == [("g", "Linear", 64, 768), ("fc", "Linear", 45, 480)]
    x = torch.randn(1, 3, 4, 8)
    module = load(name).module
    module.load_state_dict(net.state_dict())
    given = module(x)
    assert torch.equal(given, net(x))
    assert torch.is_grad_enabled()
    given.sum().backward()
    assert module.fc.weight.grad is not None
    assert (module.g.weight.grad is None) == (region is torch.no_grad)


def test_of_two_branches_of_an_exported_program_the_larger_counts(tmp_path):
    found = cost(export(tmp_path / "net.pt2", Branches(torch.no_grad).eval(), (1, 3, 4, 8)))
    assert (found.macs, found.params) == (2 * 768 + 480, 64 + 45)
    assert [fork.macs for fork in found.forks] == [(2 * 768, 768)]
