"""Zero-cost proxies score a network before it has learned anything; what they are worth, a sweep shows.

Each is the formula of its paper, on the network's first weights; ``x`` is a batch of images (N, C, H, W).
"""

from math import isfinite, log10

import torch
from torch import Tensor, nn

from resbench.errors import MeasureError
from resbench.gradients.frozen import logits
from resbench.gradients.measure import loss_of
from resbench.gradients.trunk import hooked
from resbench.networks.load import without_norm


def synflow_log10(model: nn.Module, shape: tuple[int, ...]) -> float:
    """Return log10 of sum |w dR/dw| over all weights, with R the sum of the outputs for an input of ones and |w|.

    It needs no data; BN is taken out, in float64 (Tanaka et al. 2020, as Abdelfattah et al. 2021 score networks).
    Raises MeasureError where it is not finite.
    """
    net = without_norm(model).double().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.abs_()
    sum(out.sum() for out in logits(net(torch.ones(1, *shape, dtype=torch.float64)))).backward()  # type: ignore[union-attr]
    found = sum(float((p.detach() * p.grad).abs().sum()) for p in net.parameters() if p.grad is not None)
    if not 0 < found < float("inf"):
        raise MeasureError(f"SynFlow is {found:g}: not between 0 and the largest number of float64")
    return log10(found)


@torch.no_grad()
def naswot(model: nn.Module, x: Tensor) -> float:
    """Return log |det K|, with K_ij the number of ReLUs that are on, or off, for images i and j alike.

    BN normalises by the batch (Mellor et al. 2021, eq. 2). Raises MeasureError for a network without ReLUs, or whose
    ReLUs tell some images not apart.
    """
    alike = x.new_zeros(len(x), len(x), dtype=torch.float64)
    seen: list[str] = []

    def look(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        on = (output > 0).flatten(1).float()
        alike.add_((on @ on.T + (1 - on) @ (1 - on).T).double())
        seen.append(name)

    relus = [(name, one) for name, one in model.named_modules() if isinstance(one, nn.ReLU | nn.ReLU6)]
    with hooked(relus, nn.Module.register_forward_hook, look):
        model.train()(x)
    if not seen:
        raise MeasureError("NASWOT counts the ReLUs that images switch alike: the network has none")
    found = float(torch.linalg.slogdet(alike).logabsdet)
    if not isfinite(found):
        raise MeasureError("NASWOT is log 0: its ReLUs are on and off for several images alike")
    return found


def gradnorm(model: nn.Module, x: Tensor, labels: Tensor, classes: int) -> float:
    """Return the sum of ||dL/dw|| over the weights of all layers, L the loss of a batch (Abdelfattah et al. 2021)."""
    loss_of("the network", model.train()(x), labels, classes).backward()  # type: ignore[no-untyped-call]
    found = [p.grad.norm() for p in model.parameters() if p.grad is not None and p.dim() > 1]
    return float(torch.stack(found).double().sum())
