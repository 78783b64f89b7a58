"""The integers of the literature, each by a route that is not the fold's: a paper, a closed form, or torchvision."""

import csv
from math import prod
from pathlib import Path

import pytest

from resbench.arch import cost
from resbench.arch.catalog import architecture

GOLDEN = Path(__file__).parents[1] / "golden"


def rows(name):
    with (GOLDEN / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def count(name):
    return architecture(name).cost()


def named(cases):
    return [pytest.param(case, id=case[next(iter(case))]) for case in cases]


@pytest.mark.parametrize("row", named(rows("cifar_resnet")))
def test_cifar_resnets_have_the_published_parameters_and_macs(row):
    report = count(row["network"])
    assert (report.params, report.macs) == (int(row["params_option_a"]), int(row["macs_option_a"]))


# Printed figures that do not follow from the printed layout: what follows instead.
MISPRINTS = {
    "resnet50": "3.8 is cut, not rounded: 3.858",
    "vgg16": "15.3 counts the convolutions alone (15.347); with the classifier it is 15.470",
}
PAPERS_LAYOUT = {"resnet34": "resnet34,shortcut=A"}  # Table 1 and figure 3 are option A: 3.644, not 3.664


@pytest.mark.parametrize("row", named(rows("imagenet_resnet")))
def test_imagenet_networks_have_the_published_macs(row):
    name = row["network"]
    paper = count(PAPERS_LAYOUT.get(name, f"{name},stride=1x1" if name.startswith("resnet") else name)).macs / 1e9
    if name in MISPRINTS:
        assert f"{paper:.1f}" != row["gmacs_printed"]
    else:
        assert f"{paper:.1f}" == row["gmacs_printed"]
    if row["gmacs_computed_stride_on_1x1"]:
        computed = row["gmacs_computed_stride_on_1x1"]
        ours = count(f"{name},stride=1x1" if name.startswith("resnet") else name).macs / 1e9
        assert f"{ours:.{len(computed.partition('.')[2])}f}" == computed


def test_vgg16s_printed_figure_is_its_convolutions():
    convolutions = sum(row.macs for row in count("vgg16").layers if row.type == "Conv2d")
    assert f"{convolutions / 1e9:.1f}" == "15.3"


@pytest.mark.parametrize("row", named([r for r in rows("imagenet_resnet") if r["params_torchvision"]]))
def test_imagenet_networks_have_torchvisions_parameters(row):
    assert count(row["network"]).params == int(row["params_torchvision"])


@pytest.mark.parametrize("row", named(rows("googlenet_ops")))
def test_inception_modules_have_the_computed_macs(row):
    module = row["module"].replace("_", "")
    groups = {group.name: group for group in count("googlenet").per("stage")}
    assert f"{groups[module].macs / 1e6:.1f}" == row["mmacs"]
    widths = [int(row[k]) for k in ("b1x1", "b3x3_reduce", "b3x3", "b5x5_reduce", "b5x5", "pool_proj")]
    channels, height, width = map(int, row["input"].split("x"))
    b1, r3, b3, r5, b5, proj = widths
    closed_form = height * width * (channels * (b1 + r3 + r5 + proj) + 9 * r3 * b3 + 25 * r5 * b5)
    assert groups[module].macs == closed_form
    assert groups[module].output[1] == int(row["out_channels"]) == b1 + b3 + b5 + proj


def test_googlenets_first_convolution_is_not_what_the_paper_prints():
    # Table 1 prints 2.7K weights and 34M operations; its own layout, 7x7/2 on 3 x 224 x 224, gives
    first = count("googlenet").layers[0]
    assert (first.params - 64, first.macs) == (7 * 7 * 3 * 64, 7 * 7 * 3 * 64 * 112 * 112) == (9_408, 118_013_952)


INTEGERS = {  # name: parameters, MACs
    "resnet50": (25_557_032, 4_089_184_256),
    "conv5x5_direct": (153_600, 120_422_400),
    "conv5x5_reduced": (15_872, 2_408_448 + 10_035_200),
    "two_3x3_64": (73_728, 73_728 * 56 * 56),
    "two_3x3_256": (1_179_648, 1_179_648 * 56 * 56),
    "bottleneck_256": (69_632, 69_632 * 56 * 56),
    "resnet56,shortcut=B": (855_770, 125_485_696 + 2 * 131_072),  # two projections, 16 x 32 x 16 x 16 each
}


@pytest.mark.parametrize("name", INTEGERS)
def test_the_integers_of_the_notes(name):
    report = count(name)
    assert (report.params, report.macs) == INTEGERS[name]


PRINTED = {  # parameters in the table of pretrained networks of github.com/osmr/imgclsmob
    "densenet_bc100_12": 769_162,
    "densenet_bc190_40": 25_624_430,
    "densenet_bc250_24": 15_324_406,
    "densenet40_12,compression=yes": 599_050,
    "densenet100_12,compression=yes": 4_068_490,
    "densenet100_24,compression=yes": 16_114_138,
    "resnext29_16x64d": 68_155_210,
    "wrn16_10": 17_116_634,
    "wrn28_10": 36_479_194,
    "wrn40_8": 35_748_314,
    "pyramidnet110_a48": 1_772_706,
    "pyramidnet110_a84": 3_904_446,
    "pyramidnet110_a270": 28_485_477,
    "pyramidnet164_a270": 27_216_021,
    "pyramidnet200_a240": 26_752_702,
    "pyramidnet236_a220": 26_969_046,
    "pyramidnet272_a200": 26_210_842,
    "mobilenetv1_025": 470_072,
    "mobilenetv1_050": 1_331_592,
    "mobilenetv1_075": 2_585_560,
    "shufflenet_v1_g1": 1_531_936,
    "shufflenet_v1_g2": 1_733_848,
    "shufflenet_v1_g3": 1_865_728,
    "shufflenet_v1_g4": 1_968_344,
    "shufflenet_v1_g8": 2_434_768,
    "shufflenet_v2_x1_5,last=1553": 4_406_098,
    "shufflenet_v2_x2_0,last=2153": 7_601_686,
}


@pytest.mark.parametrize("name", PRINTED)
def test_networks_that_no_zoo_here_has_hold_the_printed_parameters(name):
    assert count(name).params == PRINTED[name]


@pytest.mark.parametrize(("depth", "growth", "millions"), [(40, 12, 1.0), (100, 12, 7.0), (100, 24, 27.2)])
def test_densenets_without_compression_hold_what_their_paper_prints(depth, growth, millions):
    # Huang et al. 2017, Table 2. The table above has them with compression.
    assert round(count(f"densenet{depth}_{growth}").params / 1e6, 1) == millions


@pytest.mark.parametrize(("groups", "complexity"), [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)])
def test_shufflenets_convolutions_take_what_their_paper_prints(groups, complexity):
    # Zhang X. et al. 2018, Table 1, which leaves out the fully connected layer
    rows = count(f"shufflenet_v1_g{groups}").layers
    assert round(sum(row.macs for row in rows if row.type == "Conv2d") / 1e6) == complexity


def test_bn_inception_is_the_released_one_without_biases_before_bn():
    # 11,295,240 in the table above
    report = count("bn_inception")
    biases = sum(row.output[1] for row in report.layers if row.type == "Conv2d")
    assert report.params + biases == 11_295_240


def test_inception_resnet_v1_is_facenets_trunk():
    # facenet-pytorch 2.5.3 holds 27,910,327 (counted in it): one more module of 1792 maps, an embedding of 512 with BN,
    # 8,631 classes
    module = sum(row.params for row in count("inception_resnet_v1").layers if row.name.startswith("repeat_3.0."))
    trunk = count("inception_resnet_v1").params - (1792 + 1) * 1000
    assert trunk + module + 1792 * 512 + 2 * 512 + (512 + 1) * 8631 == 27_910_327


def test_a_deployed_repvgg_is_its_3x3_convolutions():
    trained, deployed = count("repvgg_a0"), count("repvgg_a0,form=deployed")
    assert (trained.params, deployed.params) == (9_108_968, 8_309_384)  # timm's, and its reparameterize_model's
    head = 1280 * 1000
    assert 10 * (deployed.macs - head) == 9 * (trained.macs - head)  # a 1x1 takes a ninth of a 3x3


TORCHVISION = {  # num_params and GFLOPS of torchvision 0.28's weights metadata
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
    "resnext50_32x4d": (25_028_904, 4.230),
    "resnext101_32x8d": (88_791_336, 16.414),
    "resnext101_64x4d": (83_455_272, 15.460),
    "wide_resnet50_2": (68_883_240, 11.398),
    "wide_resnet101_2": (126_886_696, 22.753),
    "vgg11": (132_863_336, 7.609),
    "vgg11_bn": (132_868_840, 7.609),
    "vgg13": (133_047_848, 11.308),
    "vgg13_bn": (133_053_736, 11.308),
    "vgg16": (138_357_544, 15.470),
    "vgg16_bn": (138_365_992, 15.470),
    "vgg19": (143_667_240, 19.632),
    "vgg19_bn": (143_678_248, 19.632),
    "googlenet,norm=bn": (6_624_904, 1.498),
    "inception_v3,aux=yes": (27_161_264, 5.713),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_networks_have_its_figures(name):
    params, giga = TORCHVISION[name]
    report = count(name)
    assert report.params == params
    assert f"{report.macs / 1e9:.3f}" == f"{giga:.3f}"


@pytest.mark.parametrize("depth", [8, 20, 56, 110, 1202])
def test_plain_and_option_a_cost_the_same_in_parameters_and_macs(depth):
    plain, residual = count(f"cifar_plain{depth}"), count(f"cifar_resnet{depth}")
    assert (plain.params, plain.macs) == (residual.params, residual.macs)
    assert plain.elementwise < residual.elementwise  # the sums are not free


@pytest.mark.parametrize("n", [1, 3, 9, 200])
def test_a_cifar_resnet_follows_its_closed_form(n):
    report = count(f"cifar_resnet{6 * n + 2}")
    convolutions = [16 * 27]
    for stage, width in enumerate((16, 32, 64)):
        convolutions += [9 * width * width] * (2 * n - (stage > 0))
        convolutions += [9 * width * width // 2] * (stage > 0)
    norms = 2 * 16 + 2 * 2 * n * (16 + 32 + 64)
    assert report.params == sum(convolutions) + norms + 650
    # 432 x 32 x 32 for the stem; every 3x3 costs 2,359,296, a strided one half; fc 640
    assert report.macs == 442_368 + 2_359_296 * (6 * n - 2) + 2 * 1_179_648 + 640


def test_every_3x3_of_a_stage_costs_the_same_and_the_strided_one_half():
    macs = {row.macs for row in count("resnet56").layers if row.name.startswith("layer") and row.type == "Conv2d"}
    assert macs == {2_359_296, 1_179_648}


def test_option_a_adds_no_parameters_and_b_adds_2752():
    base = count("plain56").params
    assert count("resnet56,shortcut=A").params == base
    assert count("resnet56,shortcut=B").params - base == 2_752 == 16 * 32 + 32 * 64 + 2 * (32 + 64)


def test_option_c_on_resnet34_projects_everywhere():
    added = count("resnet34,shortcut=C").params - count("resnet34,shortcut=A").params
    units = [(64, 64, 3), (64, 128, 1), (128, 128, 3), (128, 256, 1), (256, 256, 5), (256, 512, 1), (512, 512, 2)]
    assert sum(k for _, _, k in units) == 16
    assert added == sum(k * (i * o + 2 * o) for i, o, k in units)


@pytest.mark.parametrize(
    ("name", "params"), [("preact_resnet164", 1_703_258), ("preact_resnet1001", 10_327_706), ("resnet164", 1_704_154)]
)
def test_cifar_bottlenecks_follow_their_closed_form(name, params):
    depth = int("".join(c for c in name if c.isdigit()))
    n, preact = (depth - 2) // 9, name.startswith("preact")
    total = 16 * 27 + 2 * 16 + 256 * 10 + 10  # stem, its BN, fc
    channels = 16
    for width in (16, 32, 64):
        out = 4 * width
        for unit in range(n):
            total += channels * width + 9 * width * width + width * out  # three convolutions
            norms = width + width + (channels if preact else out)
            total += 2 * norms
            if unit == 0:
                total += channels * out + (0 if preact else 2 * out)  # projection; BN behind it if not pre-activated
            channels = out
    if preact:  # the last BN, and the first unit's, which is the stem's
        total += 2 * 256 - 2 * 16
    assert count(name).params == total == params


def test_squeeze_excitation_adds_what_hu_et_al_say():
    added = count("resnet50,se=16").params - count("resnet50").params
    widths = [(256, 3), (512, 4), (1024, 6), (2048, 3)]
    assert added == sum(n * (2 * c * c // 16 + c // 16 + c) for c, n in widths)  # eq. 5, and the biases


def test_a_batch_scales_work_and_not_parameters():
    one, eight = architecture("googlenet").cost(), architecture("googlenet").cost(batch=8)
    assert (eight.macs, eight.elementwise, eight.activations) == (
        8 * one.macs,
        8 * one.elementwise,
        8 * one.activations,
    )
    assert eight.params == one.params


def test_auxiliary_classifiers_cost_parameters_but_no_work_at_inference():
    without, with_aux = count("googlenet,norm=bn"), count("googlenet,norm=bn,aux=yes")
    assert with_aux.params == 13_004_888
    assert with_aux.macs == without.macs


def test_a_residual_sum_costs_one_operation_an_element():
    sums = [row for row in count("resnet50").layers if row.type == "Add"]
    assert len(sums) == 16
    assert all(row.elementwise == prod(row.output) for row in sums)


def test_plain_and_basic_share_one_branch():
    from resbench.arch.blocks import basic_block, plain_block

    plain, basic = plain_block(64, 64), basic_block(64, 64)
    assert [layer for layer in plain.names if layer != "add"] == [layer for layer in basic.names if layer != "add"]
    assert next(iter(plain)) == next(iter(next(iter(basic))))


def test_a_misfit_names_the_node_and_both_shapes():
    from resbench.arch import Add, Conv2d, Identity, Seq, stack
    from resbench.errors import ShapeError

    block = Seq(Add(Seq(conv1=Conv2d(256, 512, 3, 1, 1)), Identity()))
    net = Seq(layer2=stack(block))
    with pytest.raises(ShapeError) as caught:
        cost(net, (256, 28, 28), model="resnet50")
    assert str(caught.value) == "resnet50.layer2.0: the shortcut gives 256x28x28, the branch 512x28x28"


@pytest.mark.parametrize(
    ("name", "millions"), [("110_a48", 1.7), ("200_a240", 26.6), ("236_a220", 26.8), ("272_a200", 26.0)]
)
def test_pyramidnets_with_widths_that_are_cut_hold_what_their_authors_print(name, millions):
    assert round(count(f"pyramidnet{name},widths=paper").params / 1e6, 1) == millions  # README.md of jhkim89/PyramidNet


@pytest.mark.parametrize(("width", "millions"), [("x1_0", 146), ("x1_5", 299), ("x2_0", 591)])
def test_shufflenets_that_pass_all_on_take_what_their_authors_print(width, millions):
    assert round(count(f"shufflenet_v2_{width},passing=all").macs / 1e6) == millions  # README.md of ShuffleNet-Series
