"""Measurements of tests, and of the examples in docstrings."""

import pytest


@pytest.fixture
def quick(monkeypatch, tmp_path_factory):
    """No more runs than a test needs."""
    from quickly import measure_quickly

    measure_quickly(monkeypatch, tmp_path_factory.mktemp("quick"))


@pytest.fixture(autouse=True)
def example(request):
    """An example that takes a time takes no more either; no other one loads torch for it."""
    if "latency(" in getattr(getattr(request.node, "dtest", None), "docstring", ""):
        request.getfixturevalue("quick")
