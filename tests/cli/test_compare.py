"""`resbench compare`: any metrics, stored or measured, filtered, ordered, and side by side with their place."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from commands import called


def rows(cli, *arguments):
    done = cli("compare", *arguments, "--format", "csv")
    assert done.returncode == 0, done.stderr
    return {row["model"]: row for row in csv.DictReader(io.StringIO(done.stdout))}


def test_stored_figures_stand_beside_counts_that_need_no_storing(cli, documents):
    found = rows(cli, "resnet20", "plain20", "--from", str(documents), "--metrics", "params,latency,gradient,error")
    (latency,) = json.loads((documents / "latency.json").read_text())["latencies"]
    flows = {m["model"]: m["records"][0] for m in json.loads((documents / "gradflow.json").read_text())["flows"]}
    assert float(found["resnet20"]["latency_s"]) == latency["median_s"]
    half = latency["half_width_s"] / latency["median_s"]
    assert float(found["resnet20"]["latency_s_spread"]) == pytest.approx(half)
    for name, flow in flows.items():
        assert float(found[name]["first_to_last"]) == flow["first_to_last"]
    assert found["plain20"]["params"] == "269722"
    assert found["plain20"]["test_error"] and not found["plain20"]["latency_s"]
    assert found["resnet20"]["input"] == "1x3x32x32"


def test_all_that_is_stored_is_compared_where_no_model_is_named(cli, documents):
    found = rows(cli, "--from", str(documents), "--metrics", "macs,latency")
    assert {"plain20", "resnet20", "googlenet"} <= set(found)
    assert found["googlenet"]["latency_s"] == ""


def test_machines_stand_side_by_side(cli, documents, tmp_path):
    shutil.copy(documents / "latency.json", tmp_path / "a.json")
    other = json.loads((documents / "latency.json").read_text())
    other["environment"]["stable"]["cpu"] = "Another CPU"
    for model in other["latencies"]:
        for process in model["readings"]:
            process["runs_s"] = [[2 * x for x in run] for run in process["runs_s"]]
    (tmp_path / "b.json").write_text(json.dumps(other))
    done = cli("compare", "resnet20", "--from", str(tmp_path), "--metrics", "macs,latency", "-f", "json")
    (row,) = json.loads(done.stdout)["models_by_key"]
    assert row["latency_s_b"] == pytest.approx(2 * row["latency_s_a"])
    text = cli("compare", "resnet20", "--from", str(tmp_path), "--metrics", "macs,latency").stdout
    assert "Latency a: cpu, fp32" in text
    assert "Latency b: cpu, fp32" in text
    assert "Another CPU" in text


def test_batches_are_not_held_against_each_other(cli, tmp_path):
    for name, batch in (("resnet18", 1), ("resnet50", 8)):
        cli("flops", name, "--batch", str(batch), "-o", str(tmp_path / f"{name}.json"))
    done = cli("compare", "resnet18", "resnet50", "--from", str(tmp_path), "--sort", "macs", "-f", "json")
    one, eight = json.loads(done.stdout)["models_by_key"]
    assert (one["macs_a"], one["macs_b"]) == (1_814_073_344, None)
    assert (eight["macs_a"], eight["macs_b"]) == (None, 8 * 4_089_184_256)
    assert eight["params_ratio"] == pytest.approx(25_557_032 / 11_689_512)
    table = cli("compare", "resnet18", "resnet50", "--from", str(tmp_path), "--sort", "macs").stdout
    assert "MACs a is what --only, --sort and --pareto go by: they know nothing of resnet50" in table


def test_a_name_is_known_by_all_its_spellings(cli, documents):
    found = rows(cli, "resnet20,shortcut=A", "plain20", "--from", str(documents), "--metrics", "macs,gradient")
    assert found["resnet20"]["first_to_last"]
    assert list(rows(cli, "plain20", "resnet20", "--baseline", "resnet20,shortcut=A"))[1] == "resnet20"


def test_a_stored_network_that_the_catalog_lacks_is_compared(cli, documents, tmp_path):
    text = (documents / "gradflow.json").read_text().replace('"plain20"', '"ournet7"')
    (tmp_path / "gradflow.json").write_text(text)
    found = rows(cli, "--from", str(tmp_path), "--metrics", "macs,gradient", "--group-by", "family")
    assert found["ournet7"]["first_to_last"] and not found["ournet7"]["macs"]


NET = """
from torch import nn

def net(width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU())
"""


def test_a_stored_time_knows_the_macs_of_a_network_whose_code_is_not_run_again(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "net.py").write_text(NET)
    names = ["file:net.py:net,width=4,input=3x8x8", "file:net.py:net,input=3x8x8"]
    how = ["--batch", "2", "--processes", "1"]
    timed = [cli("latency", name, *how, "-o", f"time-{i}.json") for i, name in enumerate(names)]
    trained = cli("latency", names[0], *how, "--mode", "training", "-o", "training.json")
    assert [one.returncode for one in (*timed, trained)] == [0, 0, 0]
    assert cli("flops", names[1], "--batch", "2", "-o", "counted.json").returncode == 0
    (tmp_path / "net.py").unlink()
    timed_alone = rows(cli, "--from", "time-0.json", "--from", "time-1.json", "--metrics", "macs,latency")
    beside_a_count = rows(cli, "--from", "time-0.json", "--from", "counted.json", "--metrics", "macs")
    for found in (timed_alone, beside_a_count):
        assert {name: int(row["macs"]) for name, row in found.items()} == {
            names[0]: 2 * 4 * 3 * 9 * 8 * 8,
            names[1]: 2 * 8 * 3 * 9 * 8 * 8,
        }
    (row,) = rows(cli, "--from", "training.json", "--metrics", "macs,latency").values()
    assert row["latency_s"] and not row.get("macs"), "MACs of both passes are no MACs of inference"


def test_one_metric_is_compared_where_a_network_fails(cli):
    done = cli("compare", "plain20", "resnet20", "file:missing.py:net", "--metrics", "macs", "-f", "json")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "missing.py" in done.stderr
    assert [row["macs"] for row in json.loads(done.stdout)["models_by_key"]] == [40_551_040] * 2


def test_results_without_figures_are_named(cli, documents):
    done = cli("compare", "--from", str(documents / "layers.json"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nothing there can be compared" in done.stderr


BROKEN = """
from torch import nn

class Net(nn.Conv2d):
    def forward(self, x):
        if x.device.type != "meta":
            raise RuntimeError("the kernel is not there")
        return super().forward(x)

def net():
    return Net(3, 8, 3)
"""


@pytest.mark.slow
def test_a_network_that_cannot_run_loses_its_own_figures_alone(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "net.py").write_text(BROKEN)
    done = cli("compare", "plain8", f"file:{tmp_path / 'net.py'}:net", "--metrics", "macs,latency", "-f", "json")
    assert done.returncode == 2
    assert "1 of 2 networks could not be measured" in done.stderr
    working, broken = json.loads(done.stdout)["models_by_key"]
    assert working["latency_s"] > 0 and broken["latency_s"] is None and broken["macs"] > 0


def test_of_the_same_place_the_latest_counts(cli, documents, tmp_path):
    for name, factor, time in (("a", 3, "2026-01-02"), ("b", 1, "2026-01-01")):
        data = json.loads((documents / "latency.json").read_text())
        data["environment"]["volatile"]["time_utc"] = time
        for process in data["latencies"][0]["readings"]:
            process["runs_s"] = [[factor * x for x in run] for run in process["runs_s"]]
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    first = json.loads((documents / "latency.json").read_text())["latencies"][0]["median_s"]
    found = rows(cli, "resnet20", "--from", str(tmp_path), "--metrics", "latency")
    assert float(found["resnet20"]["latency_s"]) == pytest.approx(3 * first)


def test_filter_order_and_group(cli):
    names = ["vgg16", "resnet50", "resnet18", "plain34", "resnet152", "googlenet"]
    assert list(rows(cli, *names, "--sort", "-macs", "--only", "params<30M", "--only", "macs>=1.6G")) == [
        "resnet50",
        "plain34",
        "resnet18",
    ]
    grouped = rows(cli, *names, "--sort", "macs", "--group-by", "family")
    assert [row["family"] for row in grouped.values()] == ["inception", "resnet", "resnet", "resnet", "plain", "vgg"]
    assert list(grouped)[1:4] == ["resnet18", "resnet50", "resnet152"]


def test_the_front_holds_what_nothing_beats(cli):
    found = rows(cli, "resnet18", "plain34", "resnet50", "googlenet", "--pareto", "params,macs")
    # GoogLeNet has the fewest of both
    assert {name for name, row in found.items() if row["pareto"]} == {"googlenet"}
    found = rows(cli, "resnet18", "vgg16", "resnet50", "--pareto", "macs,elementwise")
    assert {name for name, row in found.items() if row["pareto"]} == {"resnet18"}
    found = rows(cli, "plain18", "resnet18", "--pareto", "params,activations", "--baseline", "resnet18")
    assert {name for name, row in found.items() if row["pareto"]} == {"plain18"}
    assert float(found["resnet18"]["params_ratio"]) == 1


def test_printed_errors_carry_their_source(cli):
    found = rows(cli, "plain34", "resnet34", "resnet56", "--metrics", "published")
    assert found["resnet34"]["published_error_a"] == "0.2452"
    assert found["resnet34"]["published_error_remark_a"] == "He 2015, Table 3, B"
    assert found["resnet56"]["published_error_b"] == "0.0697"


def test_torchvisions_own_accuracy(cli, torchvision):
    found = rows(cli, "resnet50", "torchvision:resnet50", "--metrics", "macs,published")
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
    percent = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    both = [
        float(v) for key, v in found["torchvision:resnet50"].items() if re.fullmatch("published_error_.", key) and v
    ]
    assert len(both) == 2  # of both sets of weights
    assert pytest.approx(1 - percent / 100) in both


@pytest.mark.slow
def test_live_figures_of_every_command(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = rows(cli, "plain8", "resnet8", "--metrics", "macs,latency,memory,gradient,error")
    for row in found.values():
        assert all(float(row[key]) > 0 for key in ("macs", "latency_s", "peak_bytes", "first_to_last", "test_error"))


BAD = {
    ("resnet20",): "expected 2 models or more",
    ("resnet20", "plain20", "--metrics", "speed"): "expected metrics of params,macs",
    ("resnet20", "plain20", "--sort", "name"): "expected metrics of params,macs",
    ("resnet20", "plain20", "--only", "macs"): "--only takes a metric",
    ("resnet20", "plain20", "--only", "macs<5X"): "--only: macs has the units",
    ("resnet20", "plain20", "--only", "macs<1.2.3"): "--only takes a metric",
    ("resnet20", "plain20", "--metrics", "macs,,params"): "--metrics takes words with commas between",
    ("resnet20", "plain20", "--pareto", "macs"): "--pareto takes two metrics",
    ("resnet20", "plain20", "--pareto", "macs,gradient"): "neither more nor less gradient is better",
    ("resnet20", "plain20", "--group-by", "size"): "--group-by takes family",
    ("resnet20", "plain20", "--baseline", "vgg16"): "--baseline takes one of resnet20, plain20",
    ("resnet20", "plain20", "--format", "xls"): "--format takes table, markdown",
    ("resnet20", "plain20", "--plot", "x.gif"): "--plot takes a file that ends in",
    ("resnet20", "plain20", "--only", "macs<.e5"): "--only takes a metric",
    ("resnet20", "plain20", "--only", "macs<5ms"): "macs has the units no unit, k, M, G, T",
    ("resnet20", "plain20", "--only", "error<8"): "error is at most 100 %",
    ("resnet20", "plain20", "-o", "none/x.json"): "cannot write none/x.json",
    ("plain20", "resnet20", "--metrics", "error", "--baseline", "resnet26"): "--baseline takes one of",
    ("--from", "nowhere"): "cannot read nowhere",
}


@pytest.mark.parametrize("arguments", BAD)
def test_what_cannot_be_compared_is_one_line(cli, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("compare", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert BAD[arguments] in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_chart_of_one_metric_is_refused_behind_its_table(cli, tmp_path):
    done = cli("compare", "resnet20", "plain20", "--metrics", "macs", "--plot", str(tmp_path / "x.svg"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "expected two networks that have two metrics" in done.stderr and "40,551,040" in done.stdout


def test_metrics_by_an_option_each_are_those_with_commas_between(cli):
    names = ["resnet20", "plain20"]
    apart = rows(cli, *names, "--metrics", "macs", "--metrics", "params", "--metrics", "macs")
    assert apart == rows(cli, *names, "--metrics", "macs,params") == rows(cli, *names, "--metrics", " macs, params")
    assert list(apart["resnet20"]) == ["model", "macs", "macs_ratio", "params", "params_ratio", "input"]


def test_a_metric_that_nothing_stored_says_is_one_line(documents):
    done = called("compare", "--from", documents / "latency.json", "--metrics", "error,train_error")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("resbench: nothing says error, train_error of resnet20: expected what degradation wrote")
    assert "latency" in line.partition("or --metrics ")[2].partition(", which")[0].split(",")


OLD = Path(__file__).parents[1] / "golden/stored/flops-catalog-e460e53.json.gz"
"""An earlier version wrote it: a line says so where it is read."""


@pytest.mark.parametrize("name", ["resnet20", "plain8"])
def test_a_network_of_which_nothing_stored_says_what_is_asked_is_one_line(name, documents):
    done = called("compare", "--from", OLD, "--from", documents / "gradflow.json", "--metrics", "latency,basin", name)
    assert (done.returncode, done.stdout) == (2, "")
    known = "params,macs,elementwise,activations" + (",gradient" if name == "resnet20" else "")
    assert done.stderr == (
        f"resbench: nothing says latency, basin of {name}: expected what latency and landscape wrote, "
        f"or --metrics {known}, which are known\n"
    )


def test_another_networks_figure_is_no_figure_of_those_that_are_compared(documents):
    done = called("compare", "--from", documents / "latency.json", "--metrics", "latency", "plain8")
    assert (done.returncode, done.stdout) == (2, "")
    done = called("compare", "--metrics", "published", "plain8", "plain14")
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected --metrics params,macs,elementwise,activations, which are known" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--metrics", "speed"), ("--sort", "speed"), ("--only", "macs<5X"), ("--pareto", "macs")]
)
def test_a_wrong_option_is_refused_before_anything_is_read(option, value):
    done = called("compare", "--from", OLD, "--from", "absent", option, value)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert value in done.stderr or option in done.stderr
    assert "absent" not in done.stderr


BUSY = [[0.0002, 0.0002, 0.0003], [0.06, 0.07, 0.08], [0.0001, 0.0002, 0.0002]]
CALM = [[0.047, 0.048, 0.049], [0.048, 0.048, 0.049], [0.046, 0.048, 0.049]]
STEADY = [[0.024, 0.024, 0.024], [0.0235, 0.024, 0.025], [0.024, 0.0245, 0.026]]


@pytest.mark.parametrize("order", [("busy", "calm", "steady"), ("calm", "busy", "steady"), ("calm", "steady", "busy")])
def test_a_time_with_an_interval_of_all_of_itself_has_no_ratio_nor_is_there_one_to_it(documents, tmp_path, order):
    document = json.loads((documents / "latency.json").read_text())
    (one,) = document["latencies"]
    reading = one["readings"][0]
    document["latencies"] = [
        {**one, "model": name, "readings": [{**reading, "runs_s": [[run] for run in runs]} for runs in processes]}
        for name, processes in (("busy", BUSY), ("calm", CALM), ("steady", STEADY))
    ]
    (tmp_path / "latency.json").write_text(json.dumps(document))
    done = called("compare", *order, "--from", tmp_path, "--metrics", "latency,throughput", "-f", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {row["model"]: row for row in found["models_by_key"]}
    assert rows["busy"]["latency_s_spread"] > 1 > rows["calm"]["latency_s_spread"]
    for key in ("latency_s", "throughput"):
        base = rows[order[0]][key]
        for name, row in rows.items():
            known = name == order[0] or "busy" not in (name, order[0])
            assert row[f"{key}_ratio"] == (row[key] / base if known else None), (key, name)
    (line,) = found["sentences"]
    assert line.startswith("Time: nothing can be said, for the machine was too busy, busy 200 us +- ")
    pair = json.loads(
        called("compare", "calm", "steady", "--from", tmp_path, "--metrics", "latency", "-f", "json").stdout
    )
    assert pair["sentences"][0].startswith("steady takes 2.00x less time than calm (24 ms +- ")
