"""A forward may make sparse matrices of what flows through it: their products count, and nobody trips over them."""

import pytest
import torch
from torch import nn

from resbench.costs.trace import trace

NODES, WIDTH, EDGES = 6, 4, 10


class Made(nn.Module):
    """A graph convolution whose adjacency is made in the forward."""

    def __init__(self, adjacency):
        super().__init__()
        self.linear, self.adjacency = nn.Linear(WIDTH, WIDTH), adjacency

    def forward(self, x):
        return self.adjacency(self.linear(x)) @ self.linear(x)


def coo(hidden):
    places = torch.arange(EDGES) % NODES
    return torch.sparse_coo_tensor(torch.stack((places, places.roll(1))), hidden.new_ones(EDGES), (NODES, NODES))


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(
    ("adjacency", "macs"),
    [
        (coo, EDGES * WIDTH),
        (lambda hidden: coo(hidden).coalesce().to_sparse_csr(), 7 * WIDTH),  # three of the edges are there twice
        (lambda hidden: (hidden @ hidden.T).to_sparse(), 2 * NODES * NODES * WIDTH),
    ],
    ids=["coo", "csr", "of a dense one"],
)
def test_a_sparse_matrix_that_the_forward_makes_is_no_stumbling_block(adjacency, macs):
    report = trace(Made(adjacency), torch.randn(NODES, WIDTH))
    assert report.macs == 2 * NODES * WIDTH * WIDTH + macs
    assert report.uncounted == ()
