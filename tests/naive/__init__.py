"""Networks that no library has, written a second time in torch's own modules, straight from their papers.

Parameters are called as ours; nothing else is shared.
"""

from functools import partial

from naive.anynet import AnyNet
from naive.bn_inception import BNInception
from naive.densenet import CifarDenseNet
from naive.googlenet import GoogLeNet
from naive.inception_resnet_v1 import InceptionResNetV1
from naive.inceptionnet import InceptionNet
from naive.nasbench201 import NasBench201
from naive.pyramidnet import PyramidNet
from naive.resnet import ResNet
from naive.resnext import ResNeXt29
from naive.shufflenet_v1 import ShuffleNet
from naive.wide_resnet import WideResNet

_plain = partial(ResNet, shortcut="none")
_preact = partial(ResNet, preactivated=True)

NAIVE = {
    "anynet": partial(AnyNet, (1, 2, 7, 12), (32, 64, 160, 400), (16,) * 4, (1,) * 4),
    "anynet,depths=1-2,widths=24-64,groups=4-32,ratios=1-4,se=yes": partial(
        AnyNet, (1, 2), (24, 64), (4, 32), (1, 4), squeezes=True
    ),
    "regnet": partial(AnyNet, (1, 2, 7, 12), (32, 64, 160, 400), (16,) * 4, (1,) * 4),
    "regnet,depth=16,initial=48,slope=27.89,step=2.09,group=8,se=yes": partial(
        AnyNet, (1, 3, 6, 6), (48, 104, 208, 440), (8,) * 4, (1,) * 4, squeezes=True
    ),
    "bn_inception": BNInception,
    "bn_inception,classes=10": partial(BNInception, 10),
    "googlenet": GoogLeNet,
    "inception_resnet_v1": InceptionResNetV1,
    "inception_resnet_v1,classes=10": partial(InceptionResNetV1, 10),
    "inceptionnet": InceptionNet,
    "inceptionnet,depths=1-2,width=8,reduce=no,residual=yes,bn=no": partial(
        InceptionNet, (1, 2), 8, reduced=False, residual=True, bn=False
    ),
    "densenet40_12": partial(CifarDenseNet, 40, 12),
    "densenet_bc100_12": partial(CifarDenseNet, 100, 12, bc=True),
    "nasbench201": partial(
        NasBench201,
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    ),
    "nasbench201,e02=none,e12=avgpool3x3,e03=conv1x1,e23=skip,cells=2": partial(
        NasBench201, "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|", 16, 2
    ),
    "plain8": partial(_plain, (1, 1, 1)),
    "plain20": partial(_plain, (3, 3, 3)),
    "plain18": partial(_plain, (2, 2, 2, 2)),
    "plain34": partial(_plain, (3, 4, 6, 3)),
    "resnet20": partial(ResNet, (3, 3, 3), shortcut="A"),
    "resnet29,block=bottleneck,shortcut=B": partial(ResNet, (3, 3, 3), bottleneck=True),
    "preact_resnet18": partial(_preact, (2, 2, 2, 2)),
    "preact_resnet50": partial(_preact, (3, 4, 6, 3), bottleneck=True),
    "preact_resnet20": partial(_preact, (3, 3, 3), shortcut="A"),
    "preact_resnet29,block=bottleneck,shortcut=B": partial(_preact, (3, 3, 3), bottleneck=True),
    "pyramidnet110_a48": partial(PyramidNet, 110, 48),
    "pyramidnet164_a270": partial(PyramidNet, 164, 270, bottleneck=True),
    "resnext29_8x64d": partial(ResNeXt29, 8, 64),
    "resnext29_16x64d": partial(ResNeXt29, 16, 64),
    "shufflenet_v1_g1": partial(ShuffleNet, 1),
    "shufflenet_v1_g3": partial(ShuffleNet, 3),
    "wrn16_8": partial(WideResNet, 16, 8),
    "wrn40_4": partial(WideResNet, 40, 4),
}
