"""Plain networks are residual ones without their shortcuts: those that degrade with depth (He et al. 2015)."""

from resbench.arch.algebra import Seq
from resbench.arch.entry import CIFAR, HE15, IMAGENET, entry
from resbench.arch.families.resnet import cifar_resnet, imagenet_resnet
from resbench.arch.orders import Norm


def imagenet_plain(depth: int, *, norm: Norm = "bn", width: int = 1, classes: int = 1000) -> Seq:
    """It has the layers of ``imagenet_resnet`` without shortcuts (He et al. 2015, figure 3 middle)."""
    return imagenet_resnet(depth, shortcut="none", norm=norm, width=width, classes=classes)


def cifar_plain(depth: int, *, norm: Norm = "bn", width: int = 1, aux: bool = False, classes: int = 10) -> Seq:
    """It has the layers of ``cifar_resnet`` without shortcuts (He et al. 2015, sec. 4.2)."""
    return cifar_resnet(depth, shortcut="none", norm=norm, width=width, aux=aux, classes=classes)


ENTRIES = (
    *(entry("plain", f"plain{n}", IMAGENET, f"{HE15}, Table 2", imagenet_plain, n) for n in (18, 34)),
    entry("plain", "plain{6n+2}", CIFAR, f"{HE15}, sec. 4.2", cifar_plain),
)
