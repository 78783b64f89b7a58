"""A network is looked at: its plane is filled, then its Hessian is asked at the centre, and at points of the plane."""

import time
from collections.abc import Callable, Sequence

import torch

from resbench.errors import OptionError
from resbench.landscapes import convexity
from resbench.landscapes.convexity import Extremes
from resbench.landscapes.curvature import Curvature, curvature, top_two
from resbench.landscapes.directions import RANDOM, random
from resbench.landscapes.grid import coordinates
from resbench.landscapes.kept import kept
from resbench.landscapes.losses import Direction, Losses, Value
from resbench.landscapes.plane import Plane
from resbench.landscapes.result import Surface, Way
from resbench.landscapes.subjects import Subject, check_steps
from resbench.landscapes.trajectory import Trajectory, trajectory
from resbench.progress import Step
from resbench.restoring.unchanged import unchanged
from resbench.training.checkpoint import fingerprint
from resbench.training.train import Options
from resbench.units import plural

EIGENVALUES = 5
PROBES = 5

PRODUCT = 6
"""A product of the Hessian takes about so many times as long as a point of the plane, for what progress says."""

Told = Callable[[Step, float], None]


def surface(one: Subject, way: Way, run: Options, told: Told) -> Surface | None:
    """Look at a network; None where Ctrl-C came before there was anything to see."""
    begun = time.monotonic()
    label = f"{one.model}, seed {one.seed}"
    costs = (way.points**2, PRODUCT * PROBES * way.curvature, PRODUCT * way.lanczos * way.convexity**2)

    def part(number: int) -> Told:
        before, own, whole = sum(costs[:number]), costs[number], sum(costs)
        return lambda step, share: told(Step(f"{label}: {step}", step.keeps), (before + own * share) / whole)

    with unchanged(one.module):
        weights = fingerprint(one.module)
        losses = Losses(one.module, one.shown.batches, one.shown.loss, way.bn, run.compiled, one.model)
        check_steps(one.module, way)
        part(0)(Step("directions"), 0.0)
        along = _along(one, losses) if way.directions == "trajectory" else None
        pair = along.directions if along else _pair(losses, way, one.seed)
        key = {
            "schema": 1,
            "weights": weights,
            "model": one.model,
            "directions": [way.directions, way.biases, one.seed, *_more(one, way)],
            "bn": [way.bn, losses.sizes[0]],
            "shown": one.shown.key,
            "machine": [torch.device(run.device).type, run.threads, run.compiled],
            "torch": str(torch.__version__),
        }
        folder = run.folder / "planes" if run.folder and one.shown.key else None
        axis = coordinates(way.span, way.convexity) if way.convexity else []
        curved, interrupted = None, False
        with (
            kept(folder, label, key, Value) as points,
            kept(folder if axis else None, label, {**key, "lanczos": way.lanczos, "start": "signs"}, Extremes) as bends,
        ):
            plane = Plane(losses, pair, way, points, part(0))
            known = sum((a, b) in bends.values for a in axis for b in axis)
            try:
                plane.fill(one.seed)
                if way.curvature:
                    curved = _curved(losses, way.curvature, one.seed, part(1))
                convexity.fill(bends, losses, pair, axis, way.lanczos, one.seed, _counted(len(axis) ** 2, part(2)))
            except KeyboardInterrupt:
                interrupted = True
        losses.move()
    if not plane.stride:
        return None
    loss, error, exact = (tuple(map(tuple, values.tolist())) for values in plane.whole())
    last = one.training.last if one.training else None
    return Surface(
        model=one.model,
        seed=one.seed,
        input=one.input,
        loss=loss,
        error=error,
        exact=exact,
        seconds=time.monotonic() - begun,
        earlier=plane.earlier + known,
        off=tuple(plane.off),
        test_error=last.test_error if last else None,
        curvature=curved,
        interrupted=interrupted,
        path=along.path if along else (),
        explained=along.explained if along else None,
        bends=convexity.rows(bends, axis),
    )


def _more(one: Subject, way: Way) -> list[int]:
    """Return what else the directions depend on."""
    return {"top": [way.lanczos], "trajectory": [one.trail.every if one.trail else 0]}.get(way.directions, [])


def _along(one: Subject, losses: Losses) -> Trajectory:
    """Return the plane in which the training moved most. Raises OptionError where it was not trained here."""
    if one.training is None or one.trail is None:
        raise OptionError(
            f"{one.model}: --directions trajectory is of a training: expected a network that is trained here"
        )
    return trajectory(one.trail.weights(len(one.training.history)), losses.centre)


def _pair(losses: Losses, way: Way, seed: int) -> Sequence[Direction]:
    """Return the two directions of a plane."""
    if way.directions in RANDOM:
        return [random(losses.module, way.directions, way.biases, seed, i) for i in range(2)]
    return top_two(losses, way.lanczos, seed)


def _curved(losses: Losses, steps: int, seed: int, told: Told) -> Curvature:
    whole = steps * PROBES
    return curvature(
        losses,
        steps,
        EIGENVALUES,
        PROBES,
        seed,
        lambda done: told(Step(f"product {done:,} of {whole:,} of the Hessian"), done / whole),
    )


def _counted(whole: int, told: Told) -> Callable[[int], None]:
    return lambda done: told(
        Step(f"eigenvalues at point {done + 1:,} of {whole:,}", plural(done, "point")), done / max(whole, 1)
    )
