"""The quick results on the meta device, against torch's own."""

import pytest
import torch

from resbench.costs.meta import META_KERNELS, batch_norm, layer_norm, linear

NORM, LAYER_NORM, ADDMM = META_KERNELS


def empty(*shape, dtype=torch.float32, layout=torch.contiguous_format):
    return torch.empty(shape, dtype=dtype, device="meta", memory_format=layout)


def described(tensors):
    return [(t.shape, t.dtype, t.stride(), t.device) for t in tensors]


IMAGES = {
    "rows": empty(5, 8),
    "images": empty(2, 8, 5, 3),
    "one pixel": empty(2, 8, 1, 1),
    "channels last": empty(2, 8, 5, 3, layout=torch.channels_last),
    "volumes": empty(2, 8, 3, 3, 3),
    "no image": empty(0, 8, 5, 3),
    "float64": empty(2, 8, 5, 3, dtype=torch.float64),
    "bfloat16": empty(2, 8, 5, 3, dtype=torch.bfloat16),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("x", IMAGES.values(), ids=IMAGES)
def test_batch_norm_gives_what_torch_gives(x, affine, training):
    vector = empty(8, dtype=x.dtype)
    args = (x, *([vector] * 2 if affine else [None] * 2), vector, vector, training, 0.1, 1e-5)
    assert described(batch_norm(*args)) == described(NORM(*args))


ROWS = {
    "tokens": (empty(2, 7, 8), [8]),
    "images": (empty(2, 8, 5, 3), [8, 5, 3]),
    "float64": (empty(2, 7, 8, dtype=torch.float64), [8]),
    "bfloat16": (empty(2, 7, 8, dtype=torch.bfloat16), [8]),
}


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("x", "shape"), ROWS.values(), ids=ROWS)
def test_layer_norm_gives_what_torch_gives(x, shape, affine):
    vector = empty(*shape, dtype=x.dtype) if affine else None
    args = (x, shape, vector, vector, 1e-5)
    assert described(layer_norm(*args)) == described(LAYER_NORM(*args))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_linear_gives_what_torch_gives(dtype):
    args = empty(6, dtype=dtype), empty(5, 8, dtype=dtype), empty(6, 8, dtype=dtype).t()
    assert described([linear(*args)]) == described([ADDMM(*args)])


@pytest.mark.parametrize("channels", [4, 1])
def test_what_does_not_fit_is_left_to_torch(channels):
    vector = empty(channels)
    assert batch_norm(empty(2, 8, 5, 3), vector, vector, vector, vector, False, 0.1, 1e-5) is None
    assert layer_norm(empty(2, 7, 8), [channels], empty(channels), None, 1e-5) is None
    assert linear(empty(channels), empty(5, 8), empty(8, 6)) is None
    assert linear(empty(6), empty(5, channels), empty(8, 6)) is None
    assert linear(torch.empty(6), empty(5, 8), empty(8, 6)) is None  # elsewhere: torch refuses it


def test_a_layer_of_other_channels_still_fails_by_name():
    from resbench.costs.trace import trace
    from resbench.errors import TraceError

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(8))
    with pytest.raises(TraceError, match=r"1 \(BatchNorm2d\) failed on 4x6x6"):
        trace(net, (1, 3, 8, 8))
