"""These networks differ in where activation and shortcut stand: He et al. 2016, Tables 1 and 2, at any depth.

>>> variants(20, "orders")["resnet20"].percent, published_depth(20)
('6.61', 110)
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from resbench.arch.published import TEST_ERRORS, Printed
from resbench.errors import OptionError
from resbench.given import public
from resbench.networks.name import ModelName
from resbench.progress import Progress, silent
from resbench.training.degradation import Plan, study
from resbench.training.result import Placements, Training
from resbench.training.train import options, precision

ORDERS = (
    "resnet{}",
    "resnet{},order=bn-after-add",
    "resnet{},order=relu-before-add",
    "resnet{},order=relu-only-preact",
    "preact_resnet{}",
)
"""These are the rows of Table 2."""
SHORTCUTS = (
    "resnet{}",
    "resnet{},shortcut=scaling",
    "resnet{},shortcut=exclusive-gate",
    "resnet{},shortcut=exclusive-gate,gate_bias=-7",
    "resnet{},shortcut=shortcut-gate,gate_bias=0",
    "resnet{},shortcut=shortcut-gate",
    "resnet{},shortcut=conv1x1",
    "resnet{},shortcut=dropout",
)
"""These are the rows of Table 1."""
MEDIAN = Printed("6.61", "He 2016, Tables 1, 2")
"""It is of five runs, as all of these figures are; the 6.43 of He 2015 is the best of five."""
TABLES = {"orders": ORDERS, "shortcuts": SHORTCUTS, "all": (*ORDERS, *SHORTCUTS[1:])}


def published_depth(depth: int) -> int:
    """Return the depth of the published network that stands beside one of this depth."""
    return 164 if depth == 164 else 110


def variants(depth: int, table: str = "all") -> Mapping[str, Printed | None]:
    """Return the networks of a table at some depth, with what is published of the same at 110 (or 164) layers."""
    if table not in TABLES:
        raise OptionError(f"--table takes {', '.join(TABLES)}; received {table!r}")
    printed = {**TEST_ERRORS, "resnet110": MEDIAN}
    return {
        str(ModelName.parse(name.format(depth))): printed.get(name.format(published_depth(depth)))
        for name in TABLES[table]
    }


@public
def placements(
    depth: int = 20,
    table: str = "all",
    *,
    data: str = "digits",
    root: Path | None = None,
    epochs: float | None = None,
    seeds: int = 1,
    batch: int = 128,
    lr: float = 0.1,
    warmup: int | None = None,
    dtype: str | None = None,
    folder: Path | None = None,
    compile: bool = False,
    probe: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    watch: Callable[[Training], object] | None = None,
    progress: Progress = silent,
) -> Placements:
    """Train every variant of a table of He et al. 2016 (``orders``, ``shortcuts`` or ``all``) at one depth, as
    ``degradation`` does. Raises as ``train`` does."""
    run = options(device, compile, probe, folder, watch, threads)
    plan = Plan(data, root, seeds, epochs, batch, lr, dtype or precision(run.device), warmup=warmup)
    known = variants(depth, table)
    found = study(list(known), plan, run, progress)
    published = {name: error for name, error in zip(found.by_model, known.values(), strict=True) if error}
    remarks = (f"Published: {published_depth(depth)} layers on CIFAR-10, median of five runs.",)
    return Placements(**{**vars(found), "published": published, "remarks": remarks}, depth=depth)
