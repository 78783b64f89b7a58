"""The names over which tests run: the whole catalog, depths of its patterns, every order with every shortcut."""

from typing import get_args

from resbench.arch.catalog import entries
from resbench.arch.orders import Order
from resbench.arch.shortcuts import Shortcut

CATALOG = [name for name in entries() if "{" not in name]
VARIANTS = [f"resnet14,order={o},shortcut={s}" for o in get_args(Order) for s in get_args(Shortcut)]
