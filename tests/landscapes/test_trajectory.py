"""The plane of a training is that of its principal components, and the training lies in it as it went."""

import numpy as np
import pytest
import torch
from commands import called
from sklearn.decomposition import PCA

import resbench
from resbench.errors import OptionError
from resbench.landscapes.trajectory import trajectory

ASKED = ("resnet8", "--epochs", "2", "--images", "64", "--points", "5")


def test_directions_are_those_of_scikit_learn():
    draw = torch.Generator().manual_seed(0)
    end = [torch.randn(4, 3, generator=draw), torch.randn(5, generator=draw)]
    drift = [torch.randn(p.shape, generator=draw) for p in end]
    kept = [
        [p + t / 6 * d + 0.1 * torch.randn(p.shape, generator=draw) for p, d in zip(end, drift, strict=True)]
        for t in range(6, -1, -1)
    ]
    found = trajectory(kept, end)
    flat = np.array([torch.cat([w.flatten() for w in weights]).numpy() for weights in kept])
    last = torch.cat([w.flatten() for w in end]).numpy()
    theirs = PCA(2).fit(flat - last)
    assert found.explained == pytest.approx(theirs.explained_variance_ratio_, rel=1e-4)
    ours = [torch.cat([part.flatten() for part in one]).numpy() for one in found.directions]
    long = np.linalg.norm(ours[0])
    assert np.linalg.norm(ours[1]) == pytest.approx(long, rel=1e-5)
    for one, axis in zip(ours, theirs.components_, strict=True):
        assert abs(one @ axis) == pytest.approx(long, rel=1e-4)
    shares = (flat - last) @ np.array(ours).T / long**2
    assert np.array(found.path[: len(kept)]) == pytest.approx(shares, abs=1e-5)
    assert np.abs(shares).max() == pytest.approx(0.8, rel=1e-5)
    with pytest.raises(OptionError, match="3 epochs or more, received 2"):
        trajectory(kept[:2], end)


def test_a_training_keeps_its_way_and_the_plane_holds_both_ends(tmp_path):
    words = ("landscape", *ASKED, "--directions", "trajectory", "--dir", tmp_path, "-o", tmp_path / "a.json")
    found = called(*words, "--plot", tmp_path / "a.svg")
    assert found.returncode == 0, found.stderr
    one = resbench.load(tmp_path / "a.json").surfaces[0]
    assert len(one.path) == 3
    assert one.path[-1] == pytest.approx((0, 0), abs=1e-6)
    assert sum(one.explained) == pytest.approx(1, abs=1e-3), "three points lie in a plane"
    plain = called("landscape", *ASKED, "--dir", tmp_path, "-o", tmp_path / "b.json")
    assert plain.returncode == 0
    assert resbench.load(tmp_path / "b.json").surfaces[0].centre == one.centre, "the same training"
    assert len([*(tmp_path / "trails").iterdir()]) == 3

    asked = ("degradation", "resnet8", "--epochs", "2", "--dir")
    kept = called(*asked, tmp_path / "two", "--landscape", "1")
    assert kept.returncode == 0, kept.stderr
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("*.pt")}
    again = called(*words[:-4], "--dir", tmp_path / "two", "-o", tmp_path / "c.json")
    assert again.returncode == 0, again.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("*.pt")} == before
    assert resbench.load(tmp_path / "c.json").surfaces[0].loss == one.loss


def test_a_training_that_kept_no_way_is_trained_again_and_others_have_none(tmp_path):
    assert called("degradation", "resnet8", "--epochs", "2", "--dir", tmp_path).returncode == 0
    words = ("landscape", *ASKED, "--directions", "trajectory", "--dir", tmp_path)
    assert called(*words).returncode == 0
    assert len([*(tmp_path / "trails").iterdir()]) == 3
    refused = called("landscape", "resnet8", "--epochs", "0", "--directions", "trajectory", "--dir", tmp_path)
    assert refused.returncode == 2
    assert "expected a network that is trained here" in refused.stderr
    short = called("landscape", "resnet8", "--epochs", "1", "--directions", "trajectory", "--dir", tmp_path / "none")
    assert short.returncode == 2
    assert "expected --epochs 2 or more" in short.stderr
    assert not (tmp_path / "none").exists(), "it is said before anything is trained"
