"""These claims are about parameters, multiply-accumulates and time."""

from resbench.arch.published import agrees
from resbench.costs.measure import cost
from resbench.errors import ArchitectureError
from resbench.lessons.lab import CONDITION, HOLDS, WRONG, Answer, Lab
from resbench.training.degradation import layers


def free_shortcuts(lab: Lab) -> Answer:
    """Claim 7: count plain-56 and ResNet-56 with options A and B, and run the two side by side on the clock."""
    plain, a, b = (cost(name) for name in ("plain56", "resnet56", "resnet56,shortcut=B"))
    same = (plain.params, plain.macs) == (a.params, a.macs)
    median, low, high = lab.ratio("resnet56", "plain56")
    return Answer(
        HOLDS if same and b.params - a.params == 2752 else WRONG,
        f"plain-56 and ResNet-56: {plain.params:,} and {a.params:,} parameters, {plain.macs:,} and {a.macs:,} MACs; "
        f"the sums are {a.elementwise - plain.elementwise:,} operations, and ResNet-56 takes {median:.3f} times "
        f"plain-56's time ({low:.3f} to {high:.3f}); option B adds {b.params - a.params:,} parameters",
    )


def options(lab: Lab) -> Answer:
    """Claim 8: count the parameters of ResNet-56 with each option, and the shortcuts that have weights."""
    counted = {option: cost(f"resnet56,shortcut={option}") for option in "ABC"}
    projections = {
        option: sum("downsample" in row.name and row.kind == "convolution" for row in found.layers)
        for option, found in counted.items()
    }
    right = counted["A"].params == cost("plain56").params and list(projections.values()) == [0, 2, 27]
    figures = "; ".join(
        f"{option}: {found.params:,} parameters, {projections[option]} projections" for option, found in counted.items()
    )
    return Answer(HOLDS if right else WRONG, f"ResNet-56, 27 units. {figures}")


def bottleneck(lab: Lab) -> Answer:
    """Claim 9: count the weights of a basic and of a bottleneck block."""
    two, three = (cost(name).params for name in ("two_3x3_64", "bottleneck_256"))
    return Answer(
        HOLDS if (two, three) == (1152, 896) else WRONG,
        f"two 3x3 of 64 channels: {two:,} weights; bottleneck of 256: {three:,} ({three / two:.3f} times)",
    )


def reduction(lab: Lab) -> Answer:
    """Claim 10: count the 5x5 convolution directly and through 16 channels."""
    direct, reduced = (cost(name).macs for name in ("conv5x5_direct", "conv5x5_reduced"))
    return Answer(
        HOLDS if agrees(direct, "120M") and agrees(reduced, "12.4M") else WRONG,
        f"{direct:,} to {reduced:,} MACs: {direct / reduced:.2f} times fewer",
    )


def nine_times(lab: Lab) -> Answer:
    """Claim 11: count the MACs, and time both here; all pairs but the outer tenths are to be within 10 % of 9."""
    pointwise, spatial = (cost(name).macs for name in ("conv1x1", "conv3x3"))
    median, low, high = lab.ratio("conv3x3", "conv1x1")
    shown = 0.9 * 9 < low <= high < 1.1 * 9
    return Answer(
        WRONG if spatial != 9 * pointwise else HOLDS if shown else CONDITION,
        f"{spatial / pointwise:.3f} times fewer MACs, {median:.2f} times less time here ({low:.2f} to {high:.2f}, "
        "64 channels of 56x56, batch 8)",
    )


def constant_cost(lab: Lab) -> Answer:
    """Claim 12: count every 3x3 convolution of ResNet-56 behind the stem."""
    rows = [row for row in cost("resnet56").layers if row.kind == "convolution" and row.name.startswith("layer")]
    halving = {"layer2.0.conv1", "layer3.0.conv1"}
    inside = {row.macs for row in rows if row.name not in halving}
    edge = {row.macs for row in rows if row.name in halving}
    right = len(inside) == len(edge) == 1 and min(inside) == 2 * min(edge)
    return Answer(
        CONDITION if right else WRONG,
        f"{len(rows) - len(halving)} convolutions of {min(inside):,} MACs, the {len(halving)} that halve the map "
        f"{min(edge):,}",
    )


def depths(lab: Lab) -> Answer:
    """Claim 15: count depths from the layers, and tell which block they are made of."""
    made = {}
    for depth in (18, 34, 50, 101, 152):
        counted = cost(f"resnet{depth}")
        three = any(row.name == "layer1.0.conv3" for row in counted.layers)
        made[layers(counted)] = "bottleneck" if three else "basic"
    try:
        thirteen = bool(cost("resnet13"))
    except ArchitectureError:
        thirteen = False
    right = made == {18: "basic", 34: "basic", 50: "bottleneck", 101: "bottleneck", 152: "bottleneck"}
    return Answer(
        HOLDS if thirteen or not right else WRONG,
        f"{', '.join(f'{depth} {kind}' for depth, kind in made.items())}; no network has 13",
    )
