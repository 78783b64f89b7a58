"""Libraries of models, as tests import them."""

import importlib

import torch


def import_torchvision():
    """torchvision; beside a CPU build of torch it imports once the operators of its missing extension are declared."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", schema)
        return importlib.import_module("torchvision")
