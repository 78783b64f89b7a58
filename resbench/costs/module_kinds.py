"""A module of torch is of a kind by its class, or by the operators that ran in it.

>>> class_kind(nn.Conv2d(3, 8, 3)), class_kind(nn.Identity()), kind_in(nn.Identity(), {"activation"})
('convolution', None, 'activation')
"""

from collections.abc import Set

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from resbench.arch.kinds import Kind, together

CLASSES: tuple[tuple[tuple[type[nn.Module], ...], Kind], ...] = (
    ((_ConvNd,), "convolution"),
    ((nn.Linear,), "linear"),
    ((_DropoutNd,), "dropout"),
    ((_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm), "normalisation"),
    ((nn.MultiheadAttention,), "attention"),
    ((nn.RNNBase, nn.RNNCellBase), "recurrent"),
    ((nn.Embedding,), "embedding"),
)
"""These classes of torch tell their kind, which operators alone do not: they run none at inference, are made of
several, or share them with others."""


def kind_in(module: nn.Module, ran: Set[Kind]) -> Kind:
    """A module is of the kind of its class, and else, or where something unknown ran in it, of what ran."""
    own = class_kind(module)
    return together(ran) if own is None or "unknown" in ran else own


def class_kind(module: nn.Module) -> Kind | None:
    """A class of torch's own, or one made of it, has this kind; others have none."""
    return next((kind for classes, kind in CLASSES if isinstance(module, classes)), None)
