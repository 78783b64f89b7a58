"""The layers of a network lie in stages, and those in blocks: where one lies is read from its name.

>>> names = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer2.0.conv1", "fc"]
>>> [*dict.fromkeys(map(stages(names), names))], [*dict.fromkeys(map(blocks(names), names))]
(['conv1', 'layer1', 'layer2', 'fc'], ['conv1', 'layer1.0', 'layer1.1', 'layer2.0', 'fc'])
"""

from collections import Counter
from collections.abc import Callable, Sequence

MOST = 0.9
"""What holds more of the layers than this is no stage: it holds the stages."""


def stages(names: Sequence[str]) -> Callable[[str], str]:
    """Return what tells the stage of a layer of these: the first step of its name (``layer2``), or the first below
    that which holds nearly all of them (``features.denseblock1``, ``resnet.encoder.stages.0``)."""
    holder = _holder(names).split(".")

    def stage(name: str) -> str:
        steps = name.split(".")
        shared = next((i for i, (a, b) in enumerate(zip(steps, holder, strict=False)) if a != b), len(holder))
        return ".".join(steps[: shared + 1])

    return stage


def blocks(names: Sequence[str]) -> Callable[[str], str]:
    """Return what tells the block of a layer of these: the numbered step below its stage (``layer2.0``), or the stage
    where there is none."""
    stage = stages(names)

    def block(name: str) -> str:
        within = stage(name)
        number = name.removeprefix(within + ".").partition(".")[0]
        return f"{within}.{number}" if number.isdigit() and name != within else within

    return block


def _holder(names: Sequence[str]) -> str:
    """Return the path that nearly all layers lie below; it is empty where the stages stand outermost.

    A path whose steps hold a layer each, as those of VGG's ``features``, is a stage.

    >>> _holder([f"features.{i}.conv.{j}" for i in range(9) for j in range(3)] + ["classifier"])
    'features'
    >>> _holder([f"features.{i}" for i in range(9)])
    ''
    """
    held, inner = "", [*names]
    while inner:
        step = Counter(name.partition(".")[0] for name in inner).most_common(1)[0][0]
        inner = [name.removeprefix(f"{step}.") for name in inner if name.startswith(f"{step}.")]
        steps = {name.partition(".")[0] for name in inner}
        if len(inner) <= MOST * len(names) or len(inner) < 2 * len(steps):
            return held
        held = f"{held}.{step}".lstrip(".")
    return held
