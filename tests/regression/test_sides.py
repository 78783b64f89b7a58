"""Trees are made and taken away without a trace, whatever else the user's repository holds."""

import subprocess

import pytest

from resbench.errors import GateError
from resbench.regression.sides import workshop


def test_a_revision_is_checked_out_and_gone_afterwards(project):
    with workshop(project.root) as shop:
        side = shop.side("base", "main")
        assert (side.root / "block.py").exists()
        assert project.git("worktree", "list").count("\n") == 1
    assert not side.root.exists()
    assert project.git("worktree", "list").count("\n") == 0


def test_the_working_tree_is_what_git_would_add(project):
    (project.root / ".gitignore").write_text("ignored\n")
    for name in ("ignored", "a new file ü", "deleted"):
        (project.root / name).write_text(name)
    (project.root / "link").symlink_to("suites")
    project.git("add", "deleted")
    (project.root / "deleted").unlink()
    with workshop(project.root / "suites") as shop:
        root = shop.working_tree().root
        there = {path.name for path in root.iterdir()}
        assert there == {".git", ".gitignore", "a new file ü", "block.py", "link", "suites"}
        assert str((root / "link").readlink()) == "suites"


def test_worktrees_of_the_user_are_left_alone(project, tmp_path):
    project.git("worktree", "add", "-q", str(tmp_path / "mine"))
    (tmp_path / "mine").rename(tmp_path / "unmounted")
    with workshop(project.root) as shop:
        shop.side("base", "main")
    (tmp_path / "unmounted").rename(tmp_path / "mine")
    assert subprocess.run(["git", "status"], cwd=tmp_path / "mine", capture_output=True, check=False).returncode == 0


def test_inside_a_hook_the_users_index_is_left_alone(project, monkeypatch):
    (project.root / "staged").write_text("staged")
    project.git("add", "staged")
    before = project.git("status", "--porcelain")
    monkeypatch.setenv("GIT_INDEX_FILE", str(project.root / ".git/index"))
    monkeypatch.setenv("GIT_DIR", str(project.root / ".git"))
    with workshop(project.root) as shop:
        shop.side("base", "main")
    monkeypatch.undo()
    assert project.git("status", "--porcelain") == before == "A  staged"


def test_untracked_files_do_not_make_a_revision_ambiguous(project):
    (project.root / "notes").write_text("untracked")
    with workshop(project.root) as shop:
        assert shop.side("head", "HEAD").root.exists()
        (project.root / "block.py").write_text("changed")
        with pytest.raises(GateError, match="1 changed file, which would not be judged"):
            shop.side("head", "HEAD")


def test_a_directory_is_used_where_it_is(project):
    with workshop(project.root) as shop:
        side = shop.side("base", "suites")
        assert side.root == project.root / "suites"
        assert not side.ours


def test_the_base_is_the_merge_base_with_main(project):
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "topic")
    project.commit("on the branch")
    with workshop(project.root) as shop:
        assert shop.base() == base


def test_without_main_it_says_what_to_name(project):
    project.git("branch", "-m", "trunk")
    with workshop(project.root) as shop, pytest.raises(GateError, match="fetch-depth"):
        shop.base()
