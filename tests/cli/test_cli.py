"""The commands as a user runs them: files, pipes, terminals, and real processes where these matter."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ready
from commands import called

RESBENCH = [sys.executable, "-m", "resbench"]


def run(*arguments, **kwargs):
    command = [ready.python(), "-m", "resbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **kwargs)


def on_terminal(*arguments, columns, **environment):
    """Standard output of a command that runs on a terminal of that many columns."""
    parent, child = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **environment}
    process = subprocess.Popen([*RESBENCH, *arguments], stdout=child, stdin=child, stderr=subprocess.PIPE, env=env)
    os.close(child)
    chunks = []
    try:
        while chunk := os.read(parent, 65536):
            chunks.append(chunk)
    except OSError:  # the terminal is gone: the process has ended
        pass
    _, err = process.communicate(timeout=60)
    os.close(parent)
    assert process.returncode == 0, err
    return b"".join(chunks).decode().replace("\r\n", "\n")


def text_of(shown):
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


def test_flops_of_resnet50_prints_its_exact_integers():
    done = run("flops", "--model", "resnet50")
    assert done.returncode == 0
    assert "25,557,032" in done.stdout
    assert "4,089,184,256" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["flops", "--model", "resnet50"], ["show", "resnet50"], ["models"], ["models", "--audit"]]
)
def test_torch_pandas_and_pydantic_are_not_imported(arguments):
    code = (
        "import sys; from resbench.cli.main import main; sys.argv[1:] = %r\n"
        "try: main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        "assert not {'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code % arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_resbench_imports_nothing_heavy():
    heavy = "{'torch', 'pandas', 'numpy'} & set(sys.modules)"
    code = f"import resbench, sys; resbench.flops('resnet50'); assert not {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_network_is_built_without_the_files_of_other_families():
    code = (
        "import sys; from resbench.arch import architecture; architecture('resnet56')\n"
        "architecture('convnextv2_tiny')\n"
        "print([name for name in sys.modules if name.startswith('resbench.arch.families.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['resbench.arch.families.resnet', 'resbench.arch.families.convnext']\n"


BAD = {
    ("flops",): "expected a model",
    ("compare", "resnet50"): "expected 2 models or more",
    ("flops", "resent50"): "did you mean resnet50",
    ("flops", "resnet57"): "nearest are 56 and 62",
    ("flops", "resnet50,shrtcut=A"): "unknown option 'shrtcut'",
    ("flops", "resnet50,shortcut=Z"): "shortcut takes none, A, B, C",
    ("flops", "resnet50,width=0"): "whole number from 1",
    ("flops", "resnet50,width=-2"): "whole number from 1",
    ("flops", "resnet50,classes=1000000000"): "whole number from 1",
    ("flops", "resnet50,width=2,width=3"): "given twice",
    ("flops", "resnet50,input=3x0x0"): "expected CxHxW",
    ("flops", "resnet50,input=3x1000000000x1000000000"): "expected CxHxW",
    ("flops", "resnet50", "--input", "224"): "expected CxHxW",
    ("flops", "resnet50", "--input", "1x224x224"): "expects 3 channels, received 1x224x224",
    ("flops", "vgg16", "--input", "3x8x8"): "vgg16,input=3x8x8.features.23",
    ("flops", "resnet50", "--batch", "0"): "--batch",
    ("flops", "resnet50", "--batch", "1000000000"): "--batch",
    ("flops", "resnet50", "--format", "yaml"): "--format takes table, markdown",
    ("flops", "resnet50", "--per", "week"): "--per",
    ("flops", "resnet50", "-o", "/nonexistent/folder/x.csv"): "cannot write",
    ("flops", "resnet50", "-o", "/"): "cannot write",
    ("flops", "resnet18,groups=2"): "belong to bottlenecks",
    ("flops", "resnet20,gate_bias=-3"): "belongs to exclusive-gate",
    ("flops", "resnet50:"): "expected a name after the colon",
    ("models", "nosuchthing"): "contains 'nosuchthing'",
    ("flop", "resnet50"): "No such command",
    ("show",): "Missing argument",
    ("show", "resnet20", "--expression", "-f", "csv"): "expected no --format",
    ("show", "resnet20,weights=absent.pth"): "no file absent.pth",
    ("flops", "resnet20,weights="): "expected one weights=FILE",
}


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_exit_2(arguments):
    done = called(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert BAD[arguments] in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback():
    assert "Traceback" in run("flops", "resent50", "--debug").stderr


def test_a_closed_pipe_is_quiet():
    line = f"{' '.join(RESBENCH)} flops resnet1202 --per layer --format csv | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("name,type,")
    assert done.stderr == ""


def test_a_file_that_was_there_survives_a_failed_command(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("precious")
    assert run("flops", "resent50", "-o", str(target)).returncode == 2
    assert target.read_text() == "precious"
    assert run("flops", "resnet50", "-o", str(target)).returncode == 0
    assert target.read_text().startswith("model,params,macs")
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_link_and_a_pipe_are_written_through(tmp_path):
    target, link, fifo = tmp_path / "table.csv", tmp_path / "link.csv", tmp_path / "pipe.csv"
    target.touch()
    link.symlink_to(target)
    assert run("flops", "resnet50", "-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert target.read_text().startswith("model,params,macs")
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE, text=True)
    assert run("flops", "resnet50", "-o", str(fifo)).returncode == 0
    assert reader.communicate(timeout=60)[0].startswith("model,params,macs")
    assert fifo.is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    done = run("flops", "resnet50", "-o", str(tmp_path / "x.csv"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_json_has_the_contract():
    document = json.loads(called("flops", "--model", "resnet50", "--format", "json").stdout)
    assert (document["schema"], document["kind"]) == (2, "flops")
    model = document["costs"][0]
    assert model["input"] == [1, 3, 224, 224]
    assert (model["params"], model["macs"], model["flops"]) == (25_557_032, 4_089_184_256, 8_178_368_512)
    assert sum(layer["macs"] for layer in model["layers"]) == model["macs"]
    second = next(layer for layer in model["layers"] if layer["name"] == "layer1.0.conv1")
    assert (second["type"], second["output"]) == ("Conv2d", [1, 64, 56, 56])


@pytest.mark.parametrize("per", ["model", "stage", "block", "layer"])
def test_csv_has_the_numbers_of_the_json(per):
    lines = list(csv.DictReader(io.StringIO(called("flops", "googlenet", "--per", per, "-f", "csv").stdout)))
    model = json.loads(called("flops", "googlenet", "-f", "json").stdout)["costs"][0]
    for key in ("params", "macs", "flops", "elementwise", "activations", "param_bytes", "activation_bytes"):
        assert sum(int(line[key]) for line in lines) == model[key]


@pytest.mark.parametrize(
    ("format", "mark"),
    [("markdown", "|:"), ("csv", "model,"), ("tsv", "model\t"), ("latex", r"\toprule"), ("html", "<table>")],
)
@pytest.mark.parametrize("command", [("flops", "plain20"), ("compare", "plain20", "resnet20"), ("models", "vgg")])
def test_every_command_speaks_every_format(command, format, mark):
    done = called(*command, "--format", format)
    assert done.returncode == 0, done.stderr
    assert mark in done.stdout


def test_the_format_follows_the_files_name(tmp_path):
    target = tmp_path / "cost.md"
    called("flops", "resnet50", "-o", str(target))
    assert target.read_text().startswith("| model")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_never_cuts_a_number(columns):
    shown = text_of(on_terminal("flops", "resnet50", columns=columns))
    assert "25,557,032" in shown
    assert "…" not in shown
    assert ("Left out" in shown) == (columns < 200)
    assert max(map(len, shown.splitlines())) <= columns


def test_no_color_is_respected():
    colours = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9\d)")
    assert not colours.search(on_terminal("flops", "resnet50", columns=100, NO_COLOR="1"))


def test_piped_tables_are_never_cut():
    assert "activations" in run("flops", "resnet50", env={**os.environ, "COLUMNS": "40"}).stdout


def test_compare_is_relative_to_the_first():
    done = called("compare", "conv5x5_direct", "conv5x5_reduced")
    assert "9.68x fewer MACs than conv5x5_direct" in done.stdout
    assert "0.103x" in done.stdout


def test_show_folds_equal_blocks():
    text = called("show", "preact_resnet1001").stdout
    assert "layer1.1-110" in text
    assert len(text.splitlines()) < 25


def test_show_prints_or_writes_the_whole_expression(tmp_path):
    shown = called("show", "resnet20", "--expression").stdout
    assert "layer3 = Seq(" in shown
    assert called("show", "resnet20", "--expression", "-o", str(tmp_path / "e.txt")).stdout == ""
    assert (tmp_path / "e.txt").read_text() == shown


def test_models_lists_names_options_and_filters():
    text = called("models").stdout
    for name in ("resnet50", "plain{6n+2}", "googlenet", "conv5x5_reduced", "bottleneck_block"):
        assert name in text
    assert "vgg16" not in called("models", "inception").stdout


def test_models_of_a_whole_name_lists_its_options():
    text = called("models", "resnet56").stdout
    assert "none A B C D scaling" in text
    assert "full-preact" in text
    assert "aux" in called("models", "googlenet").stdout


def test_show_of_somebody_elses_model_lists_its_blocks(cli, tmp_path):
    (tmp_path / "mine.py").write_text("from torch import nn\nnet = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())\n")
    done = cli("show", f"file:{tmp_path}/mine.py:net", "--input", "3x8x8")
    assert done.returncode == 0, done.stderr
    assert "Conv2d" in done.stdout


def test_what_was_not_counted_is_said_beside_a_csv(cli, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def forward(self, x): return torch.fft.fft2(x)\n"
    )
    name = f"file:{tmp_path}/mine.py:Net,input=3x8x8"
    done = cli("flops", name, "-f", "csv")
    assert done.stdout.startswith("model,")
    assert done.stderr.count("\n") == 2
    assert "not counted: aten._fft_c2c (1 call)" in done.stderr
    assert "net is of no known kind: what it keeps for the backward pass is unknown." in done.stderr
    assert "not counted" in cli("flops", name).stdout


def test_doctor_says_what_is_missing(cli):
    done = cli("doctor")
    assert done.returncode == 0
    assert "torch" in done.stdout
    assert "cuda" in done.stdout


def test_version_and_completion():
    assert run("--version").stdout.startswith("resbench 0.")
    env = {
        **os.environ,
        "_RESBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "resbench flops resnet1",
        "COMP_CWORD": "2",
    }
    script = Path(sys.executable).with_name("resbench")
    done = subprocess.run([script, "flops"], capture_output=True, text=True, env=env, check=False)
    assert "resnet152" in done.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("flops", "resnet8", "-o", "a.svg"), "a chart goes to --plot"),
        (("flops", "resnet8", "--plot", "x.svg", "-o", "x.data.csv"), "would write one file"),
        (("flops", "resnet8", "--plot", "x.html", "-o", "./x.html"), "would write one file"),
        (("report", "resnet8", "--parts", "cost", "-o", "r.json"), "expected a file that ends in .html"),
        (("report", "resnet8", "--parts", ""), "--parts takes"),
        (("profile", "resnet8", "--trace", "t", "--device", "cuda:99"), "no "),
        (("latency", "resnet8", "--layers", "--device", "cuda:99"), "no "),
    ],
)
def test_what_would_come_out_wrong_is_refused_and_nothing_written(cli, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
