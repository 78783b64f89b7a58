"""A function that makes many values, and no cycles of them, need not be searched for garbage while it runs."""

import gc
from collections.abc import Callable
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
        if not gc.isenabled():
            return make(*given, **named)
        gc.disable()
        try:
            return make(*given, **named)
        finally:
            gc.enable()

    return making
