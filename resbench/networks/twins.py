"""Two networks with the same weights are compared in what no weights say: epsilon, padding, activations, and so on."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from resbench.errors import SourceError, first_line, foreign

SETTINGS = ("stride", "padding", "dilation", "groups", "num_groups", "eps")
"""A layer with weights has these besides. Momentum changes no answer."""
SIDE = 128
"""They are compared on an image of this many pixels a side, for which all families have room."""
TOLERANCE = 1e-8
"""Answers in double precision may differ by this share of the largest."""


def check_twins(net: nn.Module, theirs: nn.Module, names: Mapping[str, str], called: str) -> None:
    """Compare ``net`` with the network that its weights are from, which calls each tensor by these names.

    Raises SourceError for the first layer that has another setting, and where the answers to an image differ.
    """
    for here, there in names.items():
        path = here.rpartition(".")[0]
        ours, their = net.get_submodule(path), theirs.get_submodule(there.rpartition(".")[0])
        for what in SETTINGS:
            expected, received = getattr(ours, what, None), getattr(their, what, None)
            if None not in (expected, received) and _pair(expected) != _pair(received):
                setting = what.replace("_", " ")
                raise SourceError(
                    f"{path}: expected {setting} {expected}, received {setting} {received} from {called}; "
                    "with the same weights it answers otherwise"
                )
    first = next(tensor for tensor in net.parameters() if tensor.dim() == 4)
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(1, first.shape[1], SIDE, SIDE, dtype=torch.float64, generator=draw)
    expected, received = _answer(theirs, image, called), _answer(net, image, "this network")
    apart, largest = float((received - expected).abs().max()), float(expected.abs().max())
    if not apart <= TOLERANCE * largest:
        raise SourceError(
            f"{called} answers otherwise with the same weights, by {apart / (largest or 1):.2g} of its largest logit: "
            "it differs in what has none, such as an activation or what is done to the image first"
        )


def _pair(setting: Any) -> Any:
    return (setting, setting) if isinstance(setting, int) else setting


def _answer(module: nn.Module, image: Tensor, called: str) -> Tensor:
    """Return the logits of an image, from a copy of the module in inference and in the image's precision."""
    with (
        foreign(SourceError, lambda error: f"{called} does not run on an image of {SIDE}: {first_line(error)}"),
        torch.no_grad(),
    ):
        logits: Tensor = deepcopy(module).to("cpu", image.dtype).eval()(image)
        return logits
