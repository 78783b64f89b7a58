"""Each statistic of an observed training step has its name, formula and source here.

L is the mean loss of the batch, all norms are Euclidean over a whole tensor, W a layer's weights, lr the learning rate.
In a training loop L is the loss whose gradient the optimiser applies: unscaled, the sum of accumulated passes;
``update`` under Adam and others, for which SGD's formula does not hold, is the step that they took.

>>> path_lengths([0.5, 0.5])
[0.25, 0.5, 0.25]
"""

from collections.abc import Sequence
from math import exp, isfinite, log
from typing import NamedTuple

from resbench.errors import OptionError, did_you_mean


class Statistic(NamedTuple):
    """A statistic belongs to a ``place``: boundary, layer, sum, stage, norm, relu, block or network."""

    key: str
    title: str
    place: str
    formula: str
    source: str = ""


STATISTICS = {
    s.key: s
    for s in (
        Statistic("gradient", "activation gradient", "boundary", "||dL/dx||", "Glorot & Bengio 2010"),
        Statistic("weight_gradient", "weight gradient", "layer", "||dL/dW||"),
        Statistic("weight", "weight norm", "layer", "||W||"),
        Statistic("relative_gradient", "gradient / weight", "layer", "||dL/dW|| / ||W||", "You et al. 2017"),
        Statistic("update", "update ratio, predicted", "layer", "lr ||dL/dW|| / ||W||"),
        Statistic("moved", "update ratio, actual", "layer", "||W after - W before|| / ||W before||"),
        Statistic("weight_growth", "weight growth", "layer", "||W|| / ||W at the start||"),
        Statistic("effective_lr", "effective learning rate", "layer", "lr / ||W||^2 under BN", "van Laarhoven 2017"),
        Statistic("identity", "gradient along the shortcut", "sum", "||g_id||, g_id = dL/dx by the shortcut"),
        Statistic("residual", "gradient along the branch", "sum", "||g_res||, g_res = dL/dx by the branch"),
        Statistic("ratio", "branch / shortcut gradient", "sum", "r = ||g_res|| / ||g_id||"),
        Statistic("share", "share through the branch", "sum", "r^2 / (1 + r^2)", "Veit et al. 2016"),
        Statistic("cosine", "cosine of the two", "sum", "<g_id, g_res> / (||g_id|| ||g_res||)"),
        Statistic("strength", "residual strength", "sum", "||F(x)|| / ||h(x)||", "He et al. 2015, sec. 4.2"),
        Statistic("identity_share", "identity share", "sum", "||h(x)||^2 / (||F(x)||^2 + ||h(x)||^2)"),
        Statistic("growth", "growth per layer", "stage", "exp(-slope of ln ||dL/dx|| by layers with weights)"),
        Statistic("deviation", "response behind BN", "norm", "standard deviation", "He et al. 2015, figure 7"),
        Statistic("dead", "dead channels", "relu", "share of channels that are 0 over the whole batch"),
        Statistic("sigma_max", "largest singular value", "block", "of dy/dx of a block, BN frozen, by power iteration"),
        Statistic("energy", "Jacobian energy", "block", "||dy/dx||_F^2 / n, BN frozen, n inputs", "Hutchinson 1990"),
        Statistic("loss", "loss", "network", "L"),
        Statistic("first_to_last", "R", "network", "||dL/dx_first|| / ||dL/dx_last||"),
        Statistic("effective_depth", "effective depth", "network", "sum of the shares through the branches"),
        Statistic("c1", "gradient correlation", "network", "mean cosine of successive dy/dx on a line of 48 images"),
        Statistic("effective_rank", "effective rank", "network", "||G||_F^2 / ||G||_2^2 of those 48"),
    )
}
"""``c1`` is the first autocorrelation of Balduzzi et al. 2017."""


def chosen_statistics(words: Sequence[str]) -> list[Statistic]:
    """Return the statistics that ``gradient`` and ``update`` name, or ``all``. Raises OptionError.

    These are the statistics that stand at places of a network.
    """
    placed = {key: s for key, s in STATISTICS.items() if s.place not in ("network", "stage")}
    if [*words] == ["all"]:
        return list(placed.values())
    for word in words:
        if word not in placed:
            raise OptionError(f"--stat takes {', '.join(placed)} or all; received {word!r}{did_you_mean(word, placed)}")
    return [placed[word] for word in words]


class StatisticRow(NamedTuple):
    """A row is one number of a network, seed and step, with its place in the network (depth from 0 to 1)."""

    model: str
    seed: int
    step: int
    place: str
    name: str
    depth: float
    statistic: str
    value: float


def growth_per_layer(depths: Sequence[float], norms: Sequence[float]) -> float | None:
    """Return exp(-slope of ln ||g|| by layers): the gradient grows by it at each layer on its way to the input.

    The slope is that of least squares over the boundaries of one stage. The answer is None where there are not two
    depths, or a norm is not positive.

    >>> round(growth_per_layer([1, 3, 5], [4.0, 2.0, 1.0]) ** 2, 9)
    2.0
    """
    if len(set(depths)) < 2 or not all(value > 0 and isfinite(value) for value in norms):
        return None
    logs = [log(value) for value in norms]
    x, y = sum(depths) / len(depths), sum(logs) / len(logs)
    slope = sum((a - x) * (b - y) for a, b in zip(depths, logs, strict=True)) / sum((a - x) ** 2 for a in depths)
    return exp(-slope)


def path_lengths(shares: Sequence[float]) -> list[float]:
    """Return the shares of the gradient's energy on the paths through 0, 1, ..., n branches.

    ``shares`` are those of the branch of each sum. Each is taken for itself: the answer is a Poisson binomial
    distribution, whose mean is the effective depth. Source: Veit et al. 2016, figure 6.
    """
    lengths = [1.0]
    for p in shares:
        stay, go = [*(q * (1 - p) for q in lengths), 0.0], [0.0, *(q * p for q in lengths)]
        lengths = [a + b for a, b in zip(stay, go, strict=True)]
    return lengths
