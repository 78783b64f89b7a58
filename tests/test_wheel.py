"""The wheel: what is in it, and that it works by itself."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import ready

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        if name.startswith("resbench/") or name in ("pyproject.toml", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def test_it_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"resbench"}
    listed = subprocess.run(
        ["git", "ls-files", "resbench"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert {name for name in names if name.startswith("resbench/")} == {*listed.split()}


def test_it_runs_the_commands_of_the_readme_away_from_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from resbench.__main__ import main; main()"
    for words in ("flops --model resnet50", "compare conv5x5_direct conv5x5_reduced", "sweep residual -n 3"):
        command = [ready.python(), "-P", "-c", code, tmp_path / "installed", *words.split()]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import resbench; print(resbench.__file__)"
    done = subprocess.run([ready.python(), "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path))
