"""What we watch: the network as it serves, as it trains, and the blocks that were hard to make fast."""

import torch
from model import CLASSES, BasicBlock, Bottleneck, GroupedBlock, Inception, Objective, SeparableBlock, TileNet
from torch import nn

TILES = (4, 3, 96, 96)


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(TILES, generator=generator), torch.randint(CLASSES, TILES[:1], generator=generator)


def test_serving(resbench):
    resbench(TileNet(), TILES)


def test_serving_channels_last(resbench):
    resbench(TileNet(), TILES, memory_format="channels_last")


def test_training(resbench):
    resbench(Objective(TileNet()), batch(), mode="training", dtype="bf16", memory_format="channels_last")


def test_residual_blocks(resbench):
    blocks = nn.Sequential(BasicBlock(32, 32), GroupedBlock(32), Bottleneck(32, 16, stride=2))
    resbench(blocks, (4, 32, 32, 32), mode="training")


def test_separable_block(resbench):
    resbench(SeparableBlock(32, 32), (4, 32, 16, 16), mode="training", memory_format="channels_last")


def test_inception(resbench):
    resbench(Inception(64, 64), (4, 64, 48, 48), memory_format="channels_last")
