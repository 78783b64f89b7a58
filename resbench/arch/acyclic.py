"""A function that makes many values, and no cycles of them, need not be searched for garbage while it runs."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")


def acyclic(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """Python does not look for garbage while ``make`` runs.

    It looks each time that so many objects were made, finds none among values, and over the whole catalog takes a third
    of the time that counting takes.
    """

    @wraps(make)
    def making(*given: Given.args, **named: Given.kwargs) -> Made:
        with resting():
            return make(*given, **named)

    return making


@contextmanager
def resting() -> Iterator[None]:
    """Python does not look for garbage here; what nobody refers to is freed as always."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
