"""Exports of the catalog, counted from their files, against the fold: MACs, layer by layer, and parameters.

    pip install resbench[dev] onnxscript onnxruntime
    python suites/onnx_counts.py --raw FILE.jsonl [--only WORD] [--minutes M]

A case is a network, an exporter (torch's, the older one by TorchScript, ONNX Runtime's optimisations behind torch's),
an opset, and how: BN folded or kept, the batch fixed or free, and weights that are drawn, or those that a network
starts with, in which many are zero or equal. One line of JSON a case, appended when it is done; the same command
again goes on behind it, and prints what is there.

MACs have to be equal in sum, and in each row that has the name of a layer. Parameters have to be explained to the
last: module - gamma and beta of folded BN, and biases before it - biases of zeros - tensors held once for several +
biases of folded BN + tables read out (of Swin's 169 relative positions a head the file holds all 49 x 49) = file. What
the module has lost is found by its tensors and those of the file as onnx reads them, not by our count.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import nn
from verify_zoo import declare_torchvision

import resbench
from resbench.arch.catalog import architecture, entries
from resbench.arch.rows import Cost
from resbench.costs.trace import trace

KINDS = """
resnet18 preact_resnet50 googlenet inception_v3 densenet121 mobilenet_v2 efficientnet_b0 shufflenet_v2_x1_0
convnext_tiny regnet_x_400mf vgg11 squeezenet1_1
""".split()
"""These twelve have every kind of layer that the catalog has."""

TIMM = """
resnet10t resnetv2_50 convnext_atto densenet121 efficientnet_b0 mobilenetv3_small_050 regnetx_002 ghostnet_050
vit_tiny_patch16_224 deit_tiny_patch16_224 mixer_s32_224 resmlp_12_224 poolformer_s12 pit_ti_224 res2net50_14w_8s
repvgg_a0 hardcorenas_a xcit_nano_12_p16_224 mobilevit_xxs swin_tiny_patch4_window7_224
""".split()

OPSETS = {"torchscript": range(7, 21), "torch": range(18, 26)}
LARGE = 150e6
"""Networks of more parameters are left out."""


RUNTIME = {"onnxruntime extended": 2, "onnxruntime all": 99}
"""What ONNX Runtime makes of an export with its optimisations of this level; all is for the machine's instructions."""


class Case(NamedTuple):
    network: str
    exporter: str
    opset: int | None = None
    """None is the exporter's own."""
    norm: str = "folded"
    batch: str = "fixed"
    weights: str = "drawn"
    """Or those that a network starts with, in which some are equal and some are zero."""

    @property
    def key(self) -> str:
        opset = self.opset or "default"
        return f"{self.exporter} opset {opset}, BN {self.norm}, batch {self.batch}, weights {self.weights}"


def cases() -> Iterator[Case]:
    """The twelve in every way, and then the whole catalog and timm's at the exporters' defaults."""
    for exporter in ("torch", "torchscript"):
        for network in KINDS:
            yield Case(network, exporter)
        for network in KINDS:
            yield Case(network, exporter, batch="free")
        for network in KINDS:
            yield Case(network, exporter, norm="kept")
        for network in KINDS:
            yield Case(network, exporter, weights="initial")
    for exporter, opsets in OPSETS.items():
        for network in KINDS:
            yield from (Case(network, exporter, opset) for opset in opsets)
    for network in KINDS:
        yield from (Case(network, exporter) for exporter in RUNTIME)
    for network in TIMM:
        yield Case(f"timm:{network}", "torchscript")
    for exporter in ("torchscript", "torch"):
        for name, entry in entries().items():
            if "{" not in name and name not in KINDS and entry.input[0] == 3 and params_of(name) < LARGE:
                yield Case(name, exporter)
    for network in TIMM:
        yield Case(f"timm:{network}", "torch")


def params_of(network: str) -> int:
    return architecture(network).totals().params


def size_of(network: str) -> tuple[int, int, int]:
    """The catalog's own image, and timm's."""
    if not network.startswith("timm:"):
        return architecture(network).input
    return (3, 256, 256) if "mobilevit" in network else (3, 224, 224)


def module_of(case: Case) -> nn.Module:
    """Random weights that are all different, BN's statistics too, or those that it starts with."""
    torch.manual_seed(0)
    module = resbench.build(case.network).eval()
    with torch.no_grad():
        for one in (*module.parameters(), *module.buffers()) if case.weights == "drawn" else ():
            if one.is_floating_point() and one.dim():
                one.uniform_(0.5, 1.5)
    return module


def export(module: nn.Module, size: tuple[int, ...], case: Case, path: Path) -> None:
    """Write the file, as a user of torch does."""
    image, how = torch.randn(1, *size), {"opset_version": case.opset}
    free = case.batch == "free"
    if case.exporter == "torch":
        sizes = ({0: torch.export.Dim("n")},) if free else None
        # torch specialises a size of 1
        torch.onnx.export(module, (image.repeat(2, 1, 1, 1) if free else image,), path, dynamo=True,
                          dynamic_shapes=sizes, optimize=case.norm == "folded", **how)  # fmt: skip
        return
    if case.exporter in RUNTIME:
        import onnxruntime

        plain = path.with_name("plain.onnx")
        export(module, size, Case(case.network, "torch"), plain)
        session = onnxruntime.SessionOptions()
        session.graph_optimization_level = onnxruntime.GraphOptimizationLevel(RUNTIME[case.exporter])
        session.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(plain, session, providers=["CPUExecutionProvider"])
        return
    training = torch.onnx.TrainingMode.PRESERVE if case.norm == "kept" else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(module, (image,), path, dynamo=False, training=training, input_names=["x"],
                      dynamic_axes={"x": {0: "n"}} if free else None, **how)  # fmt: skip


GONE = ("gamma and beta", "zeros", "held once", "old biases")
COME = ("new biases", "read out")


WEIGHED = ("Add", "Mul", "Conv", "Gemm", "MatMul")
"""What these take is a weight, but for what a convolution runs over, such as sines of positions."""


def sides(tensor: torch.Tensor) -> list[int]:
    """The sides of a tensor that is turned or reshaped."""
    return sorted(side for side in tensor.shape if side > 1)


def explained(module: nn.Module, path: Path) -> dict[str, int]:
    """Set the module's parameters beside the file's tensors: what is gone, and what has come."""
    graph = onnx.load(path).graph
    held = {
        one.name: one for one in graph.initializer if one.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    }
    values = {name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for name, one in held.items()}
    params, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    norms = {
        f"{path}.{name}"
        for path, one in module.named_modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)
        for name, _ in one.named_parameters(recurse=False)
    }  # fmt: skip
    found = dict.fromkeys(("module", *GONE, *COME, "unexplained"), 0)
    found["module"] = sum(p.numel() for p in params.values())
    missing = {name: p for name, p in params.items() if name not in held}
    others = {name: v for name, v in values.items() if name not in params and name not in buffers and v.numel() > 1}
    for name, other in list(others.items()):  # what is held under another name
        like = [key for key, p in missing.items() if key not in norms and sides(p) == sides(other)]
        same = [key for key in like if torch.equal(missing[key].flatten(), other.flatten())]
        if same or (like and len(sides(other)) > 1):
            del missing[(same or like)[0]], others[name]
    tables = {key: p.unique() for key, p in missing.items() if "table" in key}
    for name, other in list(others.items()) if tables else ():
        numbers = other.unique()
        if read := [key for key, table in tables.items() if key in missing and table.equal(numbers)]:
            found["read out"] += other.numel() - missing.pop(read[0]).numel()
            del others[name]
    widths = [p.numel() for name, p in missing.items() if name in norms and name.endswith(".bias")]
    for name, p in missing.items():
        once = any(v.shape == p.shape and torch.equal(v, p) for key, v in values.items() if key in params)
        zeros = not p.any()
        folded = name.endswith(".bias") and p.numel() in widths
        why = "held once" if once else "gamma and beta" if name in norms else "zeros" if zeros else "unexplained"
        found["old biases" if why == "unexplained" and folded else why] += p.numel()
    for name, other in others.items():  # the biases of convolutions that a BN is folded into
        if other.dim() == 1 and other.numel() in widths:
            widths.remove(other.numel())
            found["new biases"] += other.numel()
        elif any(name in node.input[node.op_type == "Conv" :] for node in graph.node if node.op_type in WEIGHED):
            found["unexplained"] += other.numel()
    return found


def tried(case: Case, folder: Path) -> dict[str, Any]:
    """Export, count and explain one case."""
    begun, size = time.process_time(), size_of(case.network)
    module, path = module_of(case), folder / "net.onnx"
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            export(module, size, case, path)
    except Exception as error:  # whatever an exporter does not do
        return {"refused": f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:160] if str(error) else ''}"}
    batch = 3 if case.batch == "free" else 1
    exported = time.process_time() - begun
    found: Cost = resbench.flops(f"onnx:{path}", batch=batch).costs[0]
    if case.network.startswith("timm:"):
        known = trace(module, (batch, *size))
    else:
        known = resbench.flops(case.network, input=size, batch=batch).costs[0]
    ours, theirs = ({row.name: row.macs for row in cost.layers if row.macs} for cost in (found, known))
    why = explained(module, path)
    left = why["module"] + sum(why[name] for name in COME) - sum(why[name] for name in GONE)
    return {
        "input": "x".join(map(str, found.input)),
        "macs": found.macs, "expected": known.macs, "uncounted": dict(found.uncounted), "layers": len(theirs),
        "rows": sum(ours.get(name) == macs for name, macs in theirs.items()),
        "remarks": found.remarks,
        "params": found.params, "explained": left, **why, "seconds": round(exported, 1),
        "opset": next(one.version for one in onnx.load(path, load_external_data=False).opset_import if not one.domain),
    }  # fmt: skip


def table(lines: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each way of exporting, and one for each network at torch's default."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        case = Case(*line["case"])
        groups[f"{'timm, ' if case.network.startswith('timm:') else ''}{case.key}"].append(line)
    yield f"{'exporter':62} {'cases':>5} {'refused':>8} {'MACs equal':>11} {'rows equal':>12} {'params explained':>17}"
    for key, group in groups.items():
        done = [line for line in group if "macs" in line]
        macs = sum(line["macs"] == line["expected"] and not line["uncounted"] for line in done)
        rows = sum(line["rows"] for line in done), sum(line["layers"] for line in done)
        params = sum(line["params"] == line["explained"] and not line["unexplained"] for line in done)
        same = "" if key.partition(" opset")[0] in RUNTIME else f"{rows[0]}/{rows[1]}", f"{params}/{len(done)}"
        yield (f"{key:62} {len(group):5} {len(group) - len(done):8} {f'{macs}/{len(done)}':>11} "
               f"{same[0]:>12} {same[1] if same[0] else '':>17}")  # fmt: skip
    yield ""
    columns = ("module", *GONE, *COME, "params")
    yield f"{'torch, default opset':28} {'input':>12} {'MACs':>14} " + " ".join(f"{name:>14}" for name in columns)
    for line in lines:
        case = Case(*line["case"])
        if "macs" in line and case == Case(case.network, "torch"):
            yield (f"{case.network:28} {line['input']:>12} {line['macs']:14,} "
                   + " ".join(f"{line[name]:14,}" for name in columns))  # fmt: skip
    yield ""
    yield f"{'onnxruntime all':28} {'MACs':>14} {'the module':>14} {'more':>6}   said"
    for line in lines:
        case = Case(*line["case"])
        if "macs" in line and case.exporter == "onnxruntime all":
            padded = "; ".join(one for one in line["remarks"] if "padded" in one)
            more = line["macs"] / line["expected"] - 1
            yield f"{case.network:28} {line['macs']:14,} {line['expected']:14,} {more:6.1%}   {padded}"
    lines = [line for line in lines if Case(*line["case"]).exporter not in RUNTIME]
    wrong = [line for line in lines if "macs" in line and (line["macs"] != line["expected"] or line["uncounted"])]
    yield from (f"MACs differ: {line}" for line in wrong)
    odd = [line for line in lines if "macs" in line and (line["params"] != line["explained"] or line["unexplained"])]
    yield from (f"params differ: {line}" for line in odd)
    refused: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if "refused" in line:
            refused[line["refused"]].append(f"{Case(*line['case']).network} ({Case(*line['case']).key})")
    yield from (f"refused by the exporter, {len(which)}: {why}: {which[0]}, ..." for why, which in refused.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--only", default="", help="cases whose words hold this one; - for none")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no case after these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    declare_torchvision()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    lines = [json.loads(line) for line in options.raw.read_text().splitlines()] if options.raw.exists() else []
    known, end = {tuple(line["case"]) for line in lines}, time.monotonic() + 60 * options.minutes
    for case in cases():
        words = f"{case.network} {case.key}"
        if case in known or options.only not in words or time.monotonic() > end or options.only == "-":
            continue
        with tempfile.TemporaryDirectory() as folder:
            line = {"case": case, **tried(case, Path(folder))}
        with options.raw.open("a") as file:
            file.write(json.dumps(line) + "\n")
        lines.append(json.loads(json.dumps(line)))
        print(words, {k: line[k] for k in ("refused", "macs", "expected") if k in line}, file=sys.stderr, flush=True)
    packages = ("torch", "onnx", "onnxscript", "timm")
    print(f"python suites/onnx_counts.py --raw FILE   # {', '.join(f'{name} {version(name)}' for name in packages)}")
    print("\n".join(table(lines)))


if __name__ == "__main__":
    main()
