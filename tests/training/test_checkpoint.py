"""Checkpoints: whole or not at all."""

import os
from pathlib import Path

import pytest
import torch
from commands import forked
from torch import nn

from resbench.errors import OutputError, SourceError
from resbench.files import locked
from resbench.training.checkpoint import Checkpoint, fingerprint

CPU = torch.device("cpu")


def test_what_is_saved_is_loaded_and_another_key_is_another_file(tmp_path):
    one = Checkpoint(tmp_path, "file:nets.py:a/b", {"seed": 0})
    assert one.load(CPU) is None
    one.save({"step": 3, "model": {"w": torch.ones(2)}, "history": [(1, 0.5)]})
    found = one.load(CPU)
    assert found["step"] == 3
    assert torch.equal(found["model"]["w"], torch.ones(2))
    other = Checkpoint(tmp_path, "file:nets.py:a/b", {"seed": 1})
    assert other.path != one.path
    assert other.load(CPU) is None
    assert [path.name for path in tmp_path.iterdir()] == [one.path.name]


def test_a_bit_that_has_changed_is_noticed(tmp_path):
    one = Checkpoint(tmp_path, "x", {})
    one.save({"w": torch.ones(1000)})
    data = bytearray(one.path.read_bytes())
    data[len(data) // 2] ^= 1
    one.path.write_bytes(data)
    with pytest.raises(SourceError, match="its checksum is another one"):
        one.load(CPU)


def test_half_a_file_of_a_killed_process_is_removed_and_nothing_else(tmp_path):
    one = Checkpoint(tmp_path, "x", {})
    one.save({"step": 1})
    half = tmp_path / f".{one.path.name}.abcd1234"
    for path in (half, tmp_path / ".gitignore", tmp_path / "other.pt"):
        path.write_text("x")
    assert one.load(CPU) == {"step": 1}
    assert {path.name for path in tmp_path.iterdir()} == {one.path.name, ".gitignore", "other.pt"}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_file_is_named(tmp_path, content):
    one = Checkpoint(tmp_path, "x", {})
    one.save({"step": 1})
    one.path.write_bytes(one.path.read_bytes()[:-40] if content is None else content)
    with pytest.raises(SourceError, match=r"x-.*\.pt is not a whole checkpoint .* delete it"):
        one.load(CPU)


def test_a_file_that_runs_code_is_refused(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, ("touch " + str(tmp_path / "ran"),)

    one = Checkpoint(tmp_path, "x", {})
    one.path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SourceError, match="not a whole checkpoint"):
        one.load(CPU)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk is /dev/full")  # noqa: PTH110
def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    one = Checkpoint(tmp_path, "x", {})
    one.save({"step": 1})
    real = Path.write_bytes

    def full(path, data):
        real(path, data[:100])
        real(Path("/dev/full"), data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        one.save({"step": 2, "big": torch.zeros(100_000)})
    monkeypatch.undo()
    assert one.load(CPU)["step"] == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_two_runs_in_one_folder_are_refused(tmp_path):
    code = f"""
from pathlib import Path
from resbench.files import locked
with locked(Path({str(tmp_path)!r})):
    pass
"""
    with locked(tmp_path):
        done = forked(code)
    assert done.returncode == 1
    assert "another run works in" in done.stderr
    done = forked(code)
    assert done.returncode == 0, done.stderr


def test_a_folder_in_which_nothing_was_written_is_not_left(tmp_path):
    with pytest.raises(ValueError, match="refused"), locked(tmp_path / "new"):
        raise ValueError("refused")
    assert not (tmp_path / "new").exists()
    with locked(tmp_path / "kept"):
        (tmp_path / "kept" / "rows").write_text("1")
    assert (tmp_path / "kept" / "rows").exists()
    (tmp_path / "theirs").mkdir()
    with locked(tmp_path / "theirs"):
        pass
    assert (tmp_path / "theirs").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write to .*file"), locked(tmp_path / "file"):
        pass


def test_a_fingerprint_knows_structure_and_weights():
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2), nn.ReLU())]
    nets[2].load_state_dict(nets[0].state_dict())
    assert len({fingerprint(net) for net in nets}) == 3
    nets[1].load_state_dict(nets[0].state_dict())
    assert fingerprint(nets[0]) == fingerprint(nets[1])
