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

LARGE = {"vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "resnext101_64x4d", "wide_resnet101_2"}
LARGE |= {"resnet1001", "preact_resnet1001", "resnext101_32x8d", "preact_resnet152", "preact_resnet200", "resnet152"}
"""With weights they take long."""


def rows(report):
    """Its rows; of one position a view has no stride."""
    return [row if row.output[2:] not in ((), (1, 1)) else row._replace(sees=None) for row in report.layers]
