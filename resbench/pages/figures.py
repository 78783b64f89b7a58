"""What results say of a network in one number each: by metric, with the spread, and where it was measured.

    Costs, Latencies, Flows, Trainings  ->  Figure(model, metric, value, spread, where)

Figures of the same metric from the same place can be held against each other: ``where`` says setup, data and machine,
and is empty for what needs no machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from math import isfinite

from resbench.errors import ResbenchError
from resbench.stored import Costs, Flows, Result, Trainings
from resbench.tables.metrics import COUNTED, Figure
from resbench.timing.latency.result import Latencies
from resbench.timing.layers.result import Layers
from resbench.timing.memory.result import Memories
from resbench.units import shape_text


def figures(results: Iterable[Result]) -> Iterator[Figure]:
    """All that results say by metric, in their order."""
    for result in results:
        match result:
            case Costs(costs):
                for c in costs:
                    many = f"of a batch of {c.input[0]}." if c.input[0] > 1 else ""
                    places = {metric: "" if metric == "params" else many for metric in COUNTED}
                    known = ((key, getattr(c, key), at) for key, at in places.items())
                    for key, value, at in known:
                        if value is not None:
                            least = bool(c.uncounted) and key != "params"
                            yield Figure(c.model, key, value, None, at, least=least)
            case Latencies():
                yield from _timed(result)
            case Memories():
                yield from _held(result)
            case Flows():
                yield from _flowed(result)
            case Trainings():
                yield from _trained(result)


def _timed(result: Latencies) -> Iterator[Figure]:
    from resbench.timing.ran_lines import setup_words

    for one in result.latencies:
        where = f"{setup_words(one.setup, one.ran)}, batch {one.setup.batch}. {one.where(result.here).note}"
        half, roof = one.half_width_s, one.roof(result.roofs)
        images = None if half is None else one.throughput * half / one.median_s
        yield Figure(one.model, "latency", one.median_s, half, where)
        yield Figure(one.model, "throughput", one.throughput, images, where)
        if one.peak_bytes is not None:
            yield Figure(one.model, "memory", one.peak_bytes, None, where)
        if roof and not one.uncounted:
            work = 2 * one.readings[0].macs, one.readings[0].bytes
            bound = f"{roof.bound(*work)} bound"
            yield Figure(one.model, "roof", roof.attainable_s(*work), None, f"{where} {roof.line}", bound)


def _held(result: Memories) -> Iterator[Figure]:
    from resbench.timing.ran_lines import setup_words

    for (model, _, measured), ran in zip_longest(result.reports, result.ran):
        where = f"{setup_words(result.setup, ran)}, batch {result.setup.batch}. {result.here.note}"
        if measured.peak is not None:
            yield Figure(model, "memory", measured.peak, None, where)


def _flowed(result: Flows) -> Iterator[Figure]:
    from resbench.training.result import mean_and_half

    recipe = result.recipe
    for flow in result.flows:
        step = next(iter(flow.steps), None)
        ratios = [r.value for r in flow.rows if r.statistic == "first_to_last" and r.step == step]
        if ratios and all(map(isfinite, ratios)):
            images = f"{_seeds(len(ratios))}, batches of {recipe.batch} of {result.data}"
            when = f"step {step}, lr {recipe.lr:g}" if step else f"step {step}"
            where = f"||dL/dx_first|| / ||dL/dx_last|| at {when}, {images}. {result.here.note}"
            yield Figure(flow.model, "gradient", *mean_and_half(ratios), where)


def _trained(result: Trainings) -> Iterator[Figure]:
    outcome = result.outcome
    for end in outcome.ends:
        if not end["seeds"]:  # none came to the end of an epoch
            continue
        cell = outcome.models[end["model"]][0].cell
        recipe, size = cell.recipe, shape_text((1, *cell.input))
        steps = f"{end['iterations']:,} iterations of {recipe.batch} at lr {recipe.lr:g}"
        ways = f"{recipe.dtype}, {'augmented' if recipe.augment else 'not augmented'}, {_seeds(end['seeds'])}"
        where = f"{outcome.data} at {size}, {steps}, {ways}. {result.here.note}"
        for metric, part in (("train_error", "train"), ("error", "test")):
            yield Figure(end["model"], metric, end[f"{part}_error"], end[f"{part}_spread"], where)


def uncounted(results: Iterable[Result], models: Collection[str] = ()) -> dict[str, dict[str, int]]:
    """What nobody could count, of these models or of all: operators with their calls, the most that any result says."""
    found: dict[str, Counter[str]] = {}
    for result in results:
        match result:
            case Costs(costs):
                said: list[tuple[str, Mapping[str, int]]] = [(one.model, dict(one.uncounted)) for one in costs]
            case Latencies(latencies):
                said = [(one.model, one.uncounted) for one in latencies]
            case Layers():
                said = [(result.model, result.times.uncounted)]
            case Memories(reports):
                said = [(model, predicted.uncounted or {}) for model, predicted, _ in reports]
            case _:
                said = []
        for model, calls in said:
            if calls and (model in models or not models):
                found[model] = found.get(model, Counter()) | Counter(calls)
    return {model: dict(calls) for model, calls in found.items()}


def published(models: Sequence[str]) -> Iterator[Figure]:
    """Test errors in print: of the papers, and of torchvision's own tables where it is installed.

    Words instead of a number ("fails", "over 60") give none; of a range its middle, with half of it as the spread.
    """
    from resbench.arch.published import TEST_ERRORS, TOP1_ERRORS

    for name in models:
        for table, data in ((TEST_ERRORS, "CIFAR-10"), (TOP1_ERRORS, "ImageNet, top 1, 10 crops")):
            if name in table:
                low, _, high = table[name].percent.partition(" to ")
                try:
                    ends = [float(low) / 100, float(high or low) / 100]
                except ValueError:
                    continue
                half = (ends[1] - ends[0]) / 2 if high else None
                yield Figure(name, "published", sum(ends) / 2, half, f"test error on {data}.", table[name].source)
        yield from _of_torchvision(name)


def _of_torchvision(name: str) -> Iterator[Figure]:
    from resbench.networks.name import ModelName

    own = ModelName.stored(name)
    if own.source != "torchvision":
        return
    from resbench.networks.sources.torchvision import accuracies

    try:
        known = accuracies(own.base)
    except ResbenchError:  # it is not installed
        return
    for weights, percent in known.items():
        where = f"test error on ImageNet, top 1, 1 crop, {weights.rpartition('.')[2]}."
        yield Figure(name, "published", 1 - percent / 100, None, where, f"torchvision, {weights}")


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"
