"""Kernels of a runtime are mapped back to the nodes of the graph that they run."""

import pytest
from onnx_graphs import model, node, number

from resbench.graphs.counting import count
from resbench.graphs.fusion import Group, Kernel, by_node, groups, looking
from resbench.graphs.reading import GraphFile

IMAGE = (1, 4, 8, 8)


@pytest.fixture
def residual():
    """Two convolutions and a shortcut around them: y = relu(conv2(relu(conv1(x))) + x)."""
    nodes = [
        node("Conv", "x net.conv1.weight", "a", pads=[1, 1, 1, 1], name="first"),
        node("Relu", "a", "b", name="act"),
        node("Conv", "b net.conv2.weight", "c", pads=[1, 1, 1, 1], name="second"),
        node("Add", "c x", "d", name="sum"),
        node("Relu", "d", "y", name="last"),
    ]
    kernel = (4, 4, 3, 3)
    return sized(nodes, {"net.conv1.weight": kernel, "net.conv2.weight": kernel})


def sized(nodes, weights, shape=IMAGE):
    return GraphFile("net.onnx", model(nodes, {"x": shape}, weights)).sized({"x": shape})


def covered(graph, kernels):
    return groups(count(graph), kernels, by_node(graph), looking(graph))


def names(graph, *kernels):
    return [one.name for one in covered(graph, kernels)]


def test_what_follows_a_product_is_in_its_kernel(residual):
    found = covered(residual, [Kernel("k0", "Conv", ("first",)), Kernel("k1", "Conv", ("second",), (0,))])
    assert [one.name for one in found] == ["net.conv1 + act", "net.conv2 + sum + last"]
    assert [one.macs for one in found] == [4 * 4 * 9 * 64] * 2
    assert sum(one.macs for one in found) == sum(row.macs for row in count(residual).layers)


def test_a_group_moves_what_others_give_or_read(residual):
    whole, halves = (
        covered(residual, [Kernel(name, "Conv", (name,)) for name in kernels])
        for kernels in (["second"], ["first", "second"])
    )
    image, kernel = 4 * 4 * 64, 4 * 4 * 4 * 9
    assert halves[0].bytes == image + kernel + image  # what the activation takes stays inside
    assert halves[1].bytes == image + kernel + image + image  # the shortcut, and what it gives
    assert whole[0].bytes == halves[1].bytes


@pytest.mark.parametrize("anchor", ["act", "b"])
def test_a_kernel_named_after_its_activation_has_the_product_before_it(residual, anchor):
    assert names(residual, Kernel("k0", "Conv", (anchor,)), Kernel("k1", "Conv", ("c",), (0,))) == [
        "net.conv1 + act",
        "net.conv2 + sum + last",
    ]


def test_weights_tell_where_names_are_gone(residual):
    kernels = Kernel("Multiply_1", "Conv", ("net.conv1.weight",)), Kernel("Multiply_2", "Conv", ("net.conv2.weight",))
    assert names(residual, *kernels) == ["net.conv1 + act", "net.conv2 + sum + last"]


def test_a_weight_of_several_nodes_tells_nothing():
    nodes = [node("Conv", "x w", "a", name="first"), node("Conv", "a w", "y", name="second")]
    graph = sized(nodes, {"w": (4, 4, 1, 1)})
    assert names(graph, Kernel("k0", "Conv", ("second", "w")), Kernel("k1", "Conv", ("first", "w"))) == [
        "second",
        "first",
    ]


def test_what_a_runtime_adds_runs_no_node(residual):
    kernels = [
        Kernel("k0", "Conv", ("first",)),
        Kernel("reorder", "ReorderOutput", (), (0,), added=True),
        Kernel("k1", "Conv", ("second",), (1,)),
    ]
    assert names(residual, *kernels) == ["net.conv1 + act", "", "net.conv2 + sum + last"]


def test_a_kernel_without_a_name_has_what_lies_between_its_neighbours(residual):
    kernels = [
        Kernel("k0", "Conv", ("first",)),
        Kernel("reorder", "Reorder", (), (0,), added=True),
        Kernel("Elementwise_7", "Subgraph", (), (1,)),
        Kernel("k1", "Conv", ("second",), (2,)),
    ]
    assert names(residual, *kernels) == ["net.conv1", "", "act", "net.conv2 + sum + last"]


def test_a_kernel_that_nothing_tells_of_has_no_rows(residual):
    whole = Kernel("everything", "Subgraph", ("first", "act", "second", "sum", "last"))
    assert covered(residual, [whole, Kernel("more", "Subgraph", (), (0,))])[1] == Group((), "")


def test_a_look_at_a_tensor_is_named_and_moves_nothing():
    nodes = [
        node("GlobalAveragePool", "x", "a", name="/pool/Pool"),
        node("Reshape", "a shape", "b", name="/flatten/Reshape"),
        node("Gemm", "b fc.weight", "y", transB=1, name="/fc/Gemm"),
    ]
    graph = sized(nodes, {"shape": number([1, 4], "int64"), "fc.weight": (10, 4)})
    found = covered(graph, [Kernel(name, "", (name,)) for name in ("/pool/Pool", "/flatten/Reshape", "/fc/Gemm")])
    told = [(one.name, one.macs, one.rows) for one in found]
    assert told == [
        ("pool", 0, (0,)),
        ("flatten", 0, ()),
        ("fc", 40, (1,)),
    ]


def test_no_node_is_in_two_kernels(residual):
    kernels = [Kernel("k0", "Conv", ("first", "act", "a")), Kernel("k1", "Relu", ("act", "b", "second"))]
    rows = [row for one in covered(residual, kernels) for row in one.rows]
    assert sorted(rows) == [0, 1, 2, 3, 4]


def test_a_product_is_in_the_kernel_that_multiplies_and_not_in_what_lays_it_out(residual):
    kernels = [
        Kernel("m0", "Product", multiplies=True),
        Kernel("k0", "Reshape", ("first",), (0,)),
        Kernel("k1", "Transpose", ("second",)),
        Kernel("m1", "Product", ("sum",), (1, 2), multiplies=True),
    ]
    assert [one.macs for one in covered(residual, kernels)] == [4 * 4 * 9 * 64, 0, 0, 4 * 4 * 9 * 64]


def test_a_kernel_that_may_multiply_keeps_its_product_where_no_other_is_idle(residual):
    kernels = [
        Kernel("m0", "Product", ("first",), multiplies=True),
        Kernel("k1", "Fused", ("second", "sum"), (0,)),
    ]
    assert [one.macs for one in covered(residual, kernels)] == [4 * 4 * 9 * 64] * 2


def test_products_that_flow_on_are_shared_among_the_kernels_that_multiply(residual):
    kernels = [
        Kernel("m0", "Product", ("first",), multiplies=True),
        Kernel("look", "Reshape", (), (0,)),
        Kernel("m1", "Product", (), (1,), multiplies=True),
    ]
    assert [one.macs for one in covered(residual, kernels)] == [4 * 4 * 9 * 64, 0, 4 * 4 * 9 * 64]


def test_a_product_does_not_flow_into_the_kernel_of_another(residual):
    [found] = covered(residual, [Kernel("m0", "Product", ("first",), multiplies=True)])
    assert (found.name, found.macs) == ("net.conv1 + act", 4 * 4 * 9 * 64)
