"""The names over which tests run: of the catalog, depths of its patterns, every order with every shortcut."""

from typing import get_args

from resbench.arch.catalog import entries
from resbench.arch.orders import Order
from resbench.arch.shortcuts import Shortcut

EVERY = [name for name in entries() if "{" not in name]


def _distinct():
    """Lessons and blocks; and of networks that differ in numbers alone, as they are built by the same function with
    the same options, the first."""
    known = {}
    for name in EVERY:
        entry = entries()[name]
        small = entry.family in ("lesson", "block")
        known.setdefault(name if small else (entry.build.func, *sorted(entry.build.keywords)), name)
    return list(known.values())


CATALOG = [*_distinct(), "resnet50", "vgg11_bn", "regnet_y_400mf"]
VARIANTS = [f"resnet14,order={o},shortcut={s}" for o in get_args(Order) for s in get_args(Shortcut)]
