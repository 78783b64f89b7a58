"""One large network trains on several devices, data parallel, under torchrun.

torchrun --nproc-per-node 2 -m resbench degradation resnet110 --data cifar10 --data-root DIR

torchrun sets RANK, LOCAL_RANK and WORLD_SIZE.
"""

import atexit
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resbench.errors import OptionError


class Ranks(NamedTuple):
    """This process is number ``rank`` of ``world`` processes, to all of which every batch is dealt out."""

    rank: int = 0
    world: int = 1

    def wrapped(self, model: Any, device: torch.device) -> Any:
        """Average the gradients over the processes; BN sees its own part, as on the two GPUs of the paper."""
        if self.world == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over all processes."""
        whole = value.clone()
        if self.world > 1:
            torch.distributed.all_reduce(whole)
        return whole

    def average(self, gradients: Sequence[Tensor]) -> None:
        """Average gradients over all processes, in place."""
        for gradient in gradients if self.world > 1 else ():
            torch.distributed.all_reduce(gradient)
            gradient /= self.world

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            torch.distributed.barrier()


ALONE = Ranks()


def join(device: str) -> tuple[Ranks, str]:
    """Join the processes of torchrun, and return the ranks and this process's own device. Raises OptionError."""
    given = {name: os.environ.get(name, "") for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR")}
    if given["WORLD_SIZE"] in ("", "1"):
        return ALONE, device
    if not all(given.values()) or not all(value.isdigit() for name, value in given.items() if name != "MASTER_ADDR"):
        raise OptionError(
            "WORLD_SIZE asks for several processes: expected to be started by torchrun, received "
            + " ".join(f"{name}={value or 'none'}" for name, value in given.items())
        )
    world, local = int(given["WORLD_SIZE"]), int(given["LOCAL_RANK"])
    if device.startswith("cuda") and local >= torch.cuda.device_count():
        raise OptionError(f"expected at most {torch.cuda.device_count()} processes, one a GPU; received {local + 1}")
    if device.startswith("cuda"):
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        atexit.register(torch.distributed.destroy_process_group)
    return Ranks(torch.distributed.get_rank(), world), device
