"""One large network on several devices: data parallel under torchrun, which sets RANK, LOCAL_RANK and WORLD_SIZE.

torchrun --nproc-per-node 2 -m resbench degradation resnet110 --data cifar10 --data-root DIR
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Ranks(NamedTuple):
    """Which process of how many this is. Every batch is dealt out to all of them."""

    rank: int = 0
    world: int = 1

    def wrapped(self, model: Any, device: torch.device) -> Any:
        """With gradients averaged over the processes; BN sees its own part, as on the two GPUs of the paper."""
        if self.world == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world == 1:
            return value
        whole = value.clone()
        torch.distributed.all_reduce(whole)
        return whole

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes."""
        return self.total(value) / self.world if self.world > 1 else value

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            torch.distributed.barrier()


ALONE = Ranks()


def join(device: str) -> tuple[Ranks, str]:
    """This process among those of torchrun, and its own device; alone where nobody else was started."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE, device
    if device.startswith("cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Ranks(torch.distributed.get_rank(), world), device
