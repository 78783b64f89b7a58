"""Some operators are free: they move, make, draw or compare data, and do no arithmetic.

Most say so themselves, by their schema and torch's tags. Where these are the same as those of an operator that
calculates (``gather`` and ``scatter_add``, ``eq`` and ``sub``), a list says it.
"""

from functools import cache
from typing import Any

import torch

PADDING_AND_RESAMPLING = """
    constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
    replication_pad3d upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d max_unpool2d max_unpool3d im2col
"""

INDEXING = """
    index index_put _index_put_impl _unsafe_index_put index_select _unsafe_index index_copy index_fill gather take
    put scatter masked_select masked_scatter masked_fill where embedding select_scatter diagonal_scatter
    as_strided_scatter select_backward slice_backward
"""  # what index_put adds where it is asked to accumulate is passed over

COPYING = """
    clone copy cat _cat stack repeat roll flip rot90 tril triu diag_embed pixel_shuffle pixel_unshuffle
    channel_shuffle fill zero complex unsafe_split unsafe_split_with_sizes unsafe_chunk _unsafe_view _foreach_copy
    _foreach_clone _foreach_zero _pin_memory block_diag repeat_interleave resolve_conj resolve_neg lift
    fill_diagonal _lazy_clone _reshape_copy resize set record_stream
"""

LAYOUT = """
    _mkldnn_reshape _mkldnn_transpose mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight to_mkldnn _to_dense
    _to_sparse _to_sparse_csr _to_sparse_csc _to_sparse_bsr _to_sparse_bsc _coalesced sparse_mask to_padded_tensor
    _pack_padded_sequence _convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo int_repr
    q_per_channel_scales q_per_channel_zero_points _nested_tensor_size _nested_tensor_strides
    _nested_tensor_storage_offsets _nested_from_padded _resize_output _copy_from _copy_from_and_resize
    _new_zeros_with_same_feature_meta
"""

COMPARING = """
    eq ne lt le gt ge isnan isinf isposinf isneginf signbit isin logical_not logical_and logical_or logical_xor
    bitwise_not bitwise_and bitwise_or bitwise_xor __and__ __or__ __xor__ __iand__ __ior__ __ixor__ sort topk
    kthvalue median nanmedian mode nonzero nonzero_static argwhere bucketize searchsorted _unique _unique2
    unique_dim unique_consecutive unique_dim_consecutive
"""

LISTED = frozenset(" ".join((PADDING_AND_RESAMPLING, INDEXING, COPYING, LAYOUT, COMPARING)).split())
"""These move or compare, by name: neither schema nor tags tell them from those that calculate."""

ALLOCATING = {"layout", "device", "pin_memory"}
"""An operator that only makes a tensor takes these: like another, or from values that are there."""


def is_free(func: Any, plain: str) -> bool:
    """Tell whether an ATen overload does no arithmetic. ``plain`` is its name without an in-place one's underscore."""
    return is_view(func) or _says_so(func) or (plain in LISTED and "reduce" not in func._overloadname)


@cache
def is_view(func: Any) -> bool:
    """Tell whether it gives another look at memory that is there, or touches no tensor at all."""
    schema = func._schema
    if schema.returns and schema.returns[0].alias_info is not None:
        return not schema.returns[0].alias_info.is_write
    return not any("Tensor" in str(value.type) for value in (*schema.arguments, *schema.returns))


@cache
def is_new(func: Any) -> bool:
    """Tell whether its result has contents of its own, as in ``empty_like`` and ``new_zeros``."""
    name = func.overloadpacket.__name__
    return bool(name.endswith("_like") or name.startswith("new_"))


def _says_so(func: Any) -> bool:
    """Tell whether schema or tags say it: a question about tensors, a change of view, a new tensor, a draw."""
    schema = func._schema
    if _fills(func):  # as free as the overload that makes its own result
        packet = func.overloadpacket
        overloads = [getattr(packet, name) for name in packet.overloads()]  # those of numbers alone among them
        return any(_says_so(overload) for overload in overloads if _gives_tensors(overload) and not _fills(overload))
    given = [argument for argument in schema.arguments if "Tensor" in str(argument.type)]
    if not given:
        return True  # arange, eye, randn: nothing to calculate with
    if not _gives_tensors(func) and not schema.is_mutable:
        return True  # equal, is_same_size, _assert_async
    if torch.Tag.inplace_view in func.tags or torch.Tag.view_copy in func.tags:
        return True
    names = {argument.name for argument in schema.arguments}
    if names >= ALLOCATING:
        return True
    # attention and recurrent layers draw too, and take several tensors
    return torch.Tag.nondeterministic_seeded in func.tags and (len(given) == 1 or "generator" in names)


def _gives_tensors(func: Any) -> bool:
    return any("Tensor" in str(value.type) for value in func._schema.returns)


def _fills(func: Any) -> bool:
    """Tell whether its result is written into a tensor that is given (``out=``)."""
    return any(argument.is_out for argument in func._schema.arguments)
