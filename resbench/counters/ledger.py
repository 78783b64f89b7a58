"""Tensors take memory while a run goes on, storage by storage."""

import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from resbench.restoring.holders import parts_of


class Ledger:
    """A ledger adds up the storages that exist, and keeps the most that were at one time, and whose turn it was."""

    def __init__(self, held: Iterable[Tensor]) -> None:
        self.now = self.most = self.owner = 0
        self.known: weakref.WeakSet[Any] = weakref.WeakSet()
        for tensor in held:
            self.add(tensor, 0)

    def add(self, tensor: Tensor, owner: int) -> None:
        """Add a tensor that an operator of this owner gave."""
        storage = storage_of(tensor)
        if storage is not None and storage not in self.known:
            self.known.add(storage)
            self.now += storage.nbytes()
            if self.now > self.most:
                self.most, self.owner = self.now, owner
            weakref.finalize(storage, self._drop, storage.nbytes()).atexit = False

    def seen(self, tensor: Tensor) -> None:
        """Note a tensor that was there before the run, and is no part of it."""
        storage = storage_of(tensor)
        if storage is not None:
            self.known.add(storage)

    def _drop(self, size: int) -> None:
        self.now -= size


def storage_of(tensor: Tensor) -> Any:
    """Give the storage of a tensor; None for a sparse one, and for one made of others, which have none."""
    if parts_of(tensor):
        return None
    try:
        return tensor.untyped_storage()
    except RuntimeError:
        return None
