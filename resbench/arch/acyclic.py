"""A function that makes many values, and no cycles of them, need not be searched for garbage while it runs.

Nor need what is remembered of it be searched when Python ends.
"""

import atexit
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
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


def remembered(most: int) -> Callable[[Callable[Given, Made]], Callable[Given, Made]]:
    """What a function makes of the same arguments is made once, the ``most`` used last; hashable arguments, and values.

    It is forgotten when Python ends, which otherwise looks through all of it for garbage several times: over the whole
    catalog that takes as long as counting does.
    """

    def remembering(make: Callable[Given, Made]) -> Callable[Given, Made]:
        known = lru_cache(most)(make)
        atexit.register(known.cache_clear)
        return known  # type: ignore[return-value]  # it takes what ``make`` takes, which its type does not say

    return remembering


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
