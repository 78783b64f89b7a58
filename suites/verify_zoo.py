"""`flops --verify` on networks that are not ours: the smallest timm model of many families, and Hugging Face
configurations built offline.

    python suites/verify_zoo.py --raw FILE.jsonl

One line of JSON a model, appended when it is done; the same command again goes on behind it. Prints a table; exit 1
where a model disagrees and no line says what the difference is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

TIMM = """
beit_base_patch16_224 botnet26t_256 caformer_s18 cait_xxs24_224 coat_tiny coatnet_pico_rw_224 convit_tiny
convmixer_768_32 convnext_atto convnextv2_atto cpubone_nano crossvit_tiny_240 csatv2 cspnext_tiny cspresnet50
davit_tiny deepseek_vit_412m deit_tiny_patch16_224 densenet121 dla34 dpn48b eca_botnext26ts_256 edgenext_xx_small
efficientformer_l1 efficientformerv2_s0 efficientnet_b0 efficientvim_m1 efficientvit_b0 efficientvit_m0
eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 focalnet_tiny_srf gcresnet33ts gcvit_xxtiny gemma4_vit_167m gernet_s
ghostnet_050 gmixer_24_224 hardcorenas_a hgnetv2_b0 hiera_tiny_224 hrnet_w18_small iformer_t inception_next_atto
inception_resnet_v2 inception_v3 inception_v4 lambda_resnet26t lcnet_035 lcnetv2_small legacy_seresnet18
legacy_xception levit_128s lowformer_b0 mambaout_femto maxvit_nano_rw_256 mixer_s32_224 mixnet_s mnasnet_small
mobilenetv2_035 mobilenetv3_small_050 mobilenetv4_conv_small_035 mobilenetv5_300m mobileone_s0 mobilevit_xxs
mobilevitv2_050 mvitv2_tiny naflexvit_base_patch16_gap nasnetalarge nest_tiny nextvit_small nf_regnet_b0 nfnet_l0
pit_ti_224 pnasnet5large poolformer_s12 pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 repghostnet_050 repvgg_a0
repvit_m0_9 res2net50_14w_8s resmlp_12_224 resnest14d resnet10t resnetv2_50 rexnet_100 sam2_hiera_tiny
samvit_base_patch16_224 selecsls42 semnasnet_050 sequencer2d_s shvit_s1 skresnet18 starnet_s1 swiftformer_xs
swin_tiny_patch4_window7_224 swinv2_cr_tiny_ns_224 swinv2_tiny_window8_256 tiny_vit_5m_224 tinynet_e
tnt_s_legacy_patch16_224 tresnet_m twins_pcpvt_small vgg11 visformer_tiny vit_relpos_small_patch16_224
vit_tiny_patch16_224 vit_tiny_r_s16_p8_224 vitamin_small_224 volo_d1_224 vovnet39a xception41 xcit_nano_12_p16_224
""".split()
"""Of every file of timm.models at least one, its smallest or nearly so."""

FOUR = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
TRANSFORMER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WINDOWS = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
FOCAL = {"embed_dim": 16, "depths": [1, 1], "focal_levels": [2, 2], "focal_windows": [3, 3]}
CVT = {"embed_dim": [16, 32, 48], "depth": [1, 2, 3], "num_heads": [1, 2, 4]}
SMALL = {"image_size": 64}

HF: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTForImageClassification", {**TRANSFORMER, **SMALL}),
    "deit": ("DeiTForImageClassification", {**TRANSFORMER, **SMALL}),
    "beit": ("BeitForImageClassification", {**TRANSFORMER, **SMALL}),
    "dinov2": ("Dinov2ForImageClassification", {**TRANSFORMER, "image_size": 56, "patch_size": 14}),
    "swin": ("SwinForImageClassification", {**WINDOWS, **SMALL}),
    "swinv2": ("Swinv2ForImageClassification", {**WINDOWS, **SMALL}),
    "convnext": ("ConvNextForImageClassification", {**FOUR, **SMALL}),
    "convnextv2": ("ConvNextV2ForImageClassification", {**FOUR, **SMALL}),
    "resnet": ("ResNetForImageClassification", {**FOUR, "embedding_size": 16}),
    "regnet": ("RegNetForImageClassification", {**FOUR, "embedding_size": 16, "groups_width": 16}),
    "mobilenet_v2": ("MobileNetV2ForImageClassification", {**SMALL, "depth_multiplier": 0.35}),
    "mobilevit": ("MobileViTForImageClassification", {**SMALL, "hidden_sizes": [16, 24, 32]}),
    "segformer": ("SegformerForSemanticSegmentation", {**FOUR, "decoder_hidden_size": 32}),
    "pvt": ("PvtForImageClassification", {**FOUR, **SMALL, "hidden_sizes": [16, 32, 40, 64]}),
    "poolformer": ("PoolFormerForImageClassification", FOUR),
    "bit": ("BitForImageClassification", {**FOUR, "embedding_size": 16, "num_groups": 4}),
    "focalnet": ("FocalNetForImageClassification", {**FOCAL, **SMALL}),
    "cvt": ("CvtForImageClassification", CVT),
    "efficientnet": ("EfficientNetForImageClassification", {**SMALL, "width_coefficient": 0.5, "hidden_dim": 640}),
    "levit": ("LevitForImageClassification", {**SMALL, "hidden_sizes": [32, 48, 64], "depths": [1, 1, 1]}),
}
"""Configurations of few and narrow layers."""


def names(folder: Path) -> Iterator[tuple[str, str]]:
    """What each is called, and the name under which resbench loads it."""
    yield from ((f"timm:{name}", f"timm:{name}") for name in TIMM)
    for kind, (architecture, options) in HF.items():
        where = folder / kind
        where.mkdir()
        config = {"model_type": kind, "architectures": [architecture], **options}
        (where / "config.json").write_text(json.dumps(config))
        yield f"hf:{architecture}", f"hf:{where}"


def declare_torchvision() -> None:
    """timm imports torchvision, which beside a CPU build of torch misses the operators of its extension."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")


def said_of(title: str, name: str) -> dict[str, Any]:
    """What the check says of one, or why there is none."""
    from resbench.costs.measure import checked
    from resbench.errors import ResbenchError

    start = perf_counter()
    try:
        found = checked(name)
    except ResbenchError as error:
        return {"model": title, "agrees": False, "error": str(error), "lines": [], "remarks": []}
    lines = [line._asdict() for line in found.lines]
    took = round(perf_counter() - start, 1)
    return {"model": title, "agrees": found.agrees, "lines": lines, "remarks": list(found.remarks), "seconds": took}


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """A row a model: its MACs by the tracer and by fvcore, and what was said of them."""
    yield "| model | MACs, trace | MACs, fvcore | verdict | remarks |"
    yield "|:--|--:|--:|:--|:--|"
    for one in found:
        total = next((line for line in one["lines"] if line["kind"] == "all MACs"), {})
        macs = ["" if total.get(of) is None else f"{total[of]:,}" for of in ("trace", "fvcore")]
        wrong = [line for line in one["lines"] if line["verdict"] in ("differs", "incomplete")]
        verdict = "agrees" if one["agrees"] else ", ".join(f"{line['kind']} {line['verdict']}" for line in wrong)
        remarks = "; ".join([*([one["error"]] if "error" in one else []), *one["remarks"]])
        yield f"| {one['model']} | {' | '.join(macs)} | {verdict or 'failed'} | {remarks} |"


def families() -> int:
    """The files of timm.models that the networks are from."""
    import timm

    return len({timm.model_entrypoint(name).__module__ for name in TIMM})


def main() -> int:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    options = parser.parse_args()
    options.raw.touch()
    declare_torchvision()
    done = {one["model"]: one for one in map(json.loads, options.raw.read_text().splitlines())}
    with tempfile.TemporaryDirectory() as folder:
        wanted = list(names(Path(folder)))
        for number, (title, name) in enumerate(wanted, 1):
            if title not in done:
                print(f"{number} of {len(wanted)}: {title}", file=sys.stderr)
                done[title] = said_of(title, name)
                with options.raw.open("a") as raw:
                    raw.write(json.dumps(done[title]) + "\n")
    found = [done[title] for title, _ in wanted]
    agreeing = sum(one["agrees"] for one in found)
    print("python", *sys.argv)
    print(*(f"{package} {version(package)}" for package in ("torch", "timm", "transformers", "fvcore")), sep=", ")
    print(f"\n{len(TIMM)} timm models of {families()} families, {len(HF)} Hugging Face configurations.", end=" ")
    print(f"{agreeing} of {len(found)} agree, or their difference is named.\n")
    print("\n".join(table(found)))
    return 0 if agreeing == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
