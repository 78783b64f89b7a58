"""The list of the catalog: what is kept of it is what is counted, and only as long as its files stay."""

import json
import shutil

import pytest

from resbench.arch import catalog
from resbench.networks import listing as listed
from resbench.networks.listing import listing


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The file in which the list is kept; nobody has listed anything yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "resbench/models.json"


def never(*_):
    raise AssertionError("it was counted again")


def test_what_is_kept_is_what_was_counted(kept, monkeypatch):
    counted = listing()
    monkeypatch.setattr(listed, "_listed", never)
    assert listing() == counted
    assert [one.model for one in counted.listed] == list(catalog.entries())
    one = next(one for one in listing("resnet").listed if one.model == "resnet50")
    assert (one.params, one.macs) == (25_557_032, 4_089_184_256)


def test_a_file_of_the_catalog_that_changed_is_counted_again(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(listed, "COUNTED", shutil.copytree(listed.COUNTED, tmp_path / "arch"))
    monkeypatch.setattr(listed, "_listed", lambda entry: listed.Listed(entry.name, "f", "i", 1, 2, "s"))
    listing()
    monkeypatch.setattr(listed, "_listed", lambda entry: listed.Listed(entry.name, "f", "i", 3, 4, "s"))
    assert listing().listed[0].params == 1
    with (tmp_path / "arch/families/resnet.py").open("a") as file:
        file.write("# edited\n")
    assert listing().listed[0].params == 3


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"key": 1}', "same key, other lines"])
def test_a_file_that_holds_something_else_is_counted_again(kept, monkeypatch, content):
    monkeypatch.setattr(listed, "_listed", lambda entry: listed.Listed(entry.name, "f", "i", 1, 2, "s"))
    counted = listing()
    if content == "same key, other lines":
        content = json.dumps({**json.loads(kept.read_text()), "listed": [[1, 2]]})
    kept.write_text(content)
    assert listing() == counted


def test_where_nothing_can_be_kept_it_is_counted(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(listed, "_listed", lambda entry: listed.Listed(entry.name, "f", "i", 1, 2, "s"))
    (tmp_path / "resbench").write_text("no folder")
    assert listing() == listing()


def test_a_name_lists_its_options_though_its_family_is_called_so_too():
    assert listing("alexnet").model == "alexnet"
    assert {one.model for one in listing("densenet").listed} > {"densenet121", "densenet40_12"}
