"""A node's name is that of the module which it came from, by what the exporter left of it.

In this order, each only where it says something:

1. the name of the weights that it takes: ``layer1.0.conv1.weight``. Where an exporter has folded a BN into a
   convolution, the node is written under the BN's name, and only its weights keep the convolution's.
2. torch's exporter writes the modules around a node into its metadata (``pkg.torch.onnx.name_scopes``).
3. the older exporter writes them into its name: ``/layer1/layer1.0/conv1/Conv``.
4. the node's own name.

A module that holds others gives its nodes names of their own: ``layer1.0.add``.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from resbench.graphs.graph import GraphNode

DOTTED = re.compile(r"[\w-]+(\.[\w-]+)+")

ENDINGS = ("_quantized", "_DequantizeLinear", "_transposed", "_bias")
"""Tools put these behind the names of weights that they have changed."""


def owner(weight: str) -> str:
    """Name the module that a weight belongs to; it is empty where its name does not say.

    >>> owner("layer1.0.conv1.weight"), owner("fc.weight_quantized"), owner("onnx::Conv_193"), owner("weight")
    ('layer1.0.conv1', 'fc', '', '')
    """
    plain = weight.removeprefix("_orig_mod.")
    if not DOTTED.fullmatch(plain):
        return ""
    return plain.partition(".parametrizations.")[0] if ".parametrizations." in plain else plain.rpartition(".")[0]


def scope(node: GraphNode) -> str:
    """Name the module around a node by its metadata, or by its own name.

    >>> scope(GraphNode("/layer1/layer1.0/conv1/Conv", "Conv", (), ()))
    'layer1.0.conv1'
    >>> scope(GraphNode("node_conv2d", "Conv", (), (), scopes=("", "layer1", "layer1.0", "layer1.0.conv1", "conv2d")))
    'layer1.0.conv1'
    """
    if node.scopes:
        inner = [path.removeprefix("_orig_mod.") for path in node.scopes[:-1] if path not in ("", "_orig_mod")]
        return inner[-1] if inner else ""
    path = ""
    last = ""
    for step in node.name.strip("/").split("/")[:-1]:
        inside = last and step.startswith(f"{last}.")
        path = f"{path[: len(path) - len(last)]}{step}" if inside else f"{path}.{step}" if path else step
        last = step
    return path


def names(nodes: Sequence[GraphNode], weights: Mapping[int, str], work: Sequence[tuple[int, int]]) -> dict[int, str]:
    """Name nodes, by their places. ``weights``: the first weight that a node takes; ``work``: MACs and elementwise
    operations of each."""
    users = Counter(owner(name) for name in weights.values())
    paths = {}
    for place, node in enumerate(nodes):
        around = scope(node)
        own = owner(weights.get(place, ""))
        tied = own and around and around != own and users[own] > 1
        paths[place] = own if own and not tied else around
    return _told_apart(nodes, paths, [2 if macs else 1 if elementwise else 0 for macs, elementwise in work])


def _told_apart(nodes: Sequence[GraphNode], paths: Mapping[int, str], work: Sequence[int]) -> dict[int, str]:
    """A node has the name of its module where it is that module's work; others have their operator's name behind it."""
    inside: dict[str, list[int]] = {}
    for place, path in paths.items():
        inside.setdefault(path, []).append(place)
    holders = {path[:i] for path in inside for i in range(len(path)) if path[i] == "."}
    used: Counter[str] = Counter()
    found = {}
    for place, path in paths.items():
        beside = inside[path]
        alike = len({nodes[one].operator for one in beside}) == 1  # it ran more than once
        most = max(work[one] for one in beside)
        if path and path not in holders and (alike or [one for one in beside if work[one] == most] == [place]):
            found[place] = path
            continue
        plain = nodes[place].operator.rpartition(".")[2].lower()
        label = f"{path}.{plain}" if path else own_name(nodes[place]) or plain
        again = used[label]
        used[label] += 1
        found[place] = f"{label}_{again}" if again else label
    return found


def own_name(node: GraphNode) -> str:
    """Give the node's own name where it tells something; torch's exporter numbers its nodes by operator."""
    return "" if node.scopes else node.name.strip("/").rpartition("/")[2]
