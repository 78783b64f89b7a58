"""The weights along a training, from epoch to epoch: in files beside its checkpoint, or in memory where it has none."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resbench.training.checkpoint import Checkpoint

Weights = Sequence[Tensor]


class Trail:
    """It has the parameters after every so manyth epoch, and those before the first."""

    def __init__(self, every: int, folder: Path | None, name: str, key: Mapping[str, Any]) -> None:
        self.every, self.folder, self.name, self.key = every, folder, name, key
        self._here: dict[int, Weights] = {}

    def pass_by(self, epoch: int, model: nn.Module) -> None:
        """Keep the weights of an epoch, where its turn is. Raises OutputError."""
        if not self.every or epoch % self.every:
            return
        weights = [p.detach().cpu().clone() for p in model.parameters()]
        if self.folder:
            (self.folder / "trails").mkdir(parents=True, exist_ok=True)
            self._file(epoch).save({"weights": weights})
        else:
            self._here[epoch] = weights

    def holds(self, epochs: int) -> bool:
        """Tell whether it has the weights of every epoch up to this one whose turn it was."""
        turns = range(0, epochs + 1, self.every) if self.every else ()
        return all(self._file(one).path.exists() if self.folder else one in self._here for one in turns)

    def weights(self, epochs: int) -> Iterator[Weights]:
        """Yield the weights, from the first epoch on. Raises SourceError for a file that is damaged."""
        for epoch in range(0, epochs + 1, self.every):
            if self.folder is None:
                yield self._here[epoch]
            elif state := self._file(epoch).load(torch.device("cpu")):
                yield state["weights"]

    def _file(self, epoch: int) -> Checkpoint:
        assert self.folder
        return Checkpoint(self.folder / "trails", f"{self.name}-epoch{epoch}", {**self.key, "epoch": epoch})
