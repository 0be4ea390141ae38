"""H3 with heads of one channel as Triton kernels, forward and backward: the chunked
convolution of ``seqlab/ops/ssm/convolution/kernel.py``, fused with what H3 has on either
side of it.

That convolution takes its inputs with time as the last axis, and gives its outputs so. The
two transpositions are the places where the window, the values and the queries come in:

          (B, L, D)                          (B, D, steps)
      k, v  --- products_kernel --->  kv = (window of k) v
                                        |  walks over chunks: states, outputs
      q, y  <-- spread_kernel ------  read = SSM(kv) + D_skip kv

A tile is TILE times by TILE channels, turned on the chip. D_skip stands in the first number
of the convolution's kernel, K_0. No state is written over time but those between segments.
Steps beyond the last whole chunk, fewer than T, are a recurrence on their own; so are all
of them where that is one launch, or for a state too large for the chip.

``read`` is kept for the backward pass. There the walk from late to early turns q dy into the
gradient g of kv, between one kernel that makes both products and dq, and one used again:

      k, v, q, dy  -- gradient_products_kernel -->  kv, q dy
      dq = dy read <------------------------------  read
      v g, dv      <-------- spread_kernel -------  g, with the window of k

The gradient of D_skip is the sum of products at lag 0 that the convolution's gradients have
formed. What is left is the window's own backward pass (``seqlab/ops/shift_ssm``).

Bytes, with e bytes a number and E = B L D: forward 9 e E, where 4 e E is the least; backward
21 e E, where 7 e E is. Extra memory: e E forward, which is kept, 3 e E backward.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.shift_ssm import kernel as sliding
from seqlab.ops.shift_ssm.kernel import weighed
from seqlab.ops.sizes import ceil_div
from seqlab.ops.ssm import kernel as recurrence
from seqlab.ops.ssm.convolution import kernel as convolution
from seqlab.ops.ssm.convolution.parameter_gradients import parameter_gradients
from seqlab.ops.ssm.convolution.plan import (
    kept,
    kept_shapes,
    plan_launches,
    steps_of_walk,
)

__all__ = ["forward", "gradients", "kept_read", "kept_shapes"]


@triton.jit
def tile_of_program(length, width, steps, TILE: tl.constexpr):
    """This program's batch entry, times and channels, (TILE,) each, and what of the tile
    there is: times before ``steps`` alone."""
    across = tl.cdiv(width, TILE)
    tiles = tl.cdiv(steps, TILE) * across
    entry = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    time = (tile // across * TILE + tl.arange(0, TILE)).to(tl.int64)
    channel = (tile % across * TILE + tl.arange(0, TILE)).to(tl.int64)
    return entry, time, channel, (time < steps)[:, None] & (channel < width)[None, :]


@triton.jit
def load_row(rows_ptr, entry, time, channel, exists, width, steps):
    """The tile of (B, D, steps), with channels as its last axis, in float32."""
    place = (entry * width + channel[:, None]) * steps + time[None, :]
    x = tl.load(rows_ptr + place, mask=tl.trans(exists), other=0.0)
    return tl.trans(x).to(tl.float32)


@triton.jit
def store_row(rows_ptr, x, entry, time, channel, exists, width, steps):
    """The other way round."""
    place = (entry * width + channel[:, None]) * steps + time[None, :]
    x = tl.trans(x.to(rows_ptr.dtype.element_ty))
    tl.store(rows_ptr + place, x, mask=tl.trans(exists))


@triton.jit(do_not_specialize=["length"])
def products_kernel(
    k_ptr, v_ptr, taps_ptr, window_ptr, rows_ptr, last_ptr, length, width, steps,
    TAPS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """rows (B, D, steps): the window of k times v. And the last TAPS - 1 keys before
    ``steps``, (B, TAPS - 1, D), if there is a place for them."""
    entry, time, channel, exists = tile_of_program(length, width, steps, TILE)
    place = (entry * length + time[:, None]) * width + channel[None, :]
    kv = weighed(
        k_ptr, taps_ptr, window_ptr, entry, time[:, None], channel, length, width,
        TAPS, TILE, TILE,
    )  # fmt: skip
    kv *= tl.load(v_ptr + place, mask=exists, other=0.0).to(tl.float32)
    store_row(rows_ptr, kv, entry, time, channel, exists, width, steps)
    if last_ptr is not None:
        begin = tl.program_id(0) // tl.cdiv(width, TILE) % tl.cdiv(steps, TILE) * TILE
        if begin + TILE > steps - (TAPS - 1):
            row = (time - steps + (TAPS - 1))[:, None]
            late = exists & (row >= 0)
            k = tl.load(k_ptr + place, mask=late)
            place = (entry * (TAPS - 1) + row) * width + channel[None, :]
            tl.store(last_ptr + place, k, mask=late)


@triton.jit(do_not_specialize=["length"])
def gradient_products_kernel(
    q_ptr, k_ptr, v_ptr, taps_ptr, window_ptr, read_ptr, grad_y_ptr,
    rows_ptr, grad_read_ptr, grad_q_ptr, length, width, steps,
    TAPS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """For the backward pass, from the gradient to y: rows again, the gradient to ``read``,
    both (B, D, steps), and of read itself that to q."""
    entry, time, channel, exists = tile_of_program(length, width, steps, TILE)
    place = (entry * length + time[:, None]) * width + channel[None, :]
    kv = weighed(
        k_ptr, taps_ptr, window_ptr, entry, time[:, None], channel, length, width,
        TAPS, TILE, TILE,
    )  # fmt: skip
    kv *= tl.load(v_ptr + place, mask=exists, other=0.0).to(tl.float32)
    store_row(rows_ptr, kv, entry, time, channel, exists, width, steps)
    dy = tl.load(grad_y_ptr + place, mask=exists, other=0.0).to(tl.float32)
    q = tl.load(q_ptr + place, mask=exists, other=0.0).to(tl.float32)
    store_row(grad_read_ptr, q * dy, entry, time, channel, exists, width, steps)
    read = load_row(read_ptr, entry, time, channel, exists, width, steps)
    dq = (dy * read).to(grad_q_ptr.dtype.element_ty)
    tl.store(grad_q_ptr + place, dq, mask=exists)


@triton.jit(do_not_specialize=["length"])
def spread_kernel(
    x_ptr, rows_ptr, out_ptr, k_ptr, taps_ptr, window_ptr, grad_v_ptr,
    length, width, steps,
    TAPS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """out (B, L, D): x times rows (B, D, steps); and if k is given, its window times the
    same rows."""
    entry, time, channel, exists = tile_of_program(length, width, steps, TILE)
    rows = load_row(rows_ptr, entry, time, channel, exists, width, steps)
    place = (entry * length + time[:, None]) * width + channel[None, :]
    x = tl.load(x_ptr + place, mask=exists, other=0.0).to(tl.float32)
    tl.store(out_ptr + place, (x * rows).to(out_ptr.dtype.element_ty), mask=exists)
    if k_ptr is not None:
        keys = weighed(
            k_ptr, taps_ptr, window_ptr, entry, time[:, None], channel, length, width,
            TAPS, TILE, TILE,
        )  # fmt: skip
        grad_v = (keys * rows).to(grad_v_ptr.dtype.element_ty)
        tl.store(grad_v_ptr + place, grad_v, mask=exists)


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    D_skip: Tensor | None,
    window: Tensor | None,
    memory: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """y (B, L, D), the last keys (B, M - 1, D) and the last memory (B, D, N), and what the
    backward pass needs: ``read`` (B, D, steps) in a row, the states between segments, and
    that before the last few steps."""
    plan = plan_launches(q.shape, A_bar.shape[-1], A_bar.is_complex(), q.is_cuda)
    q, k, v, shift = (laid_out(x) for x in (q, k, v, shift))
    whole = plan.chunks * plan.tiling["T"]
    last, between = memory, None
    if plan.chunks:
        rows, window = products(k, v, shift, window, whole)
        tables, b, c = convolution.tables_of(A_bar, B_bar, C, D_skip, plan)
        first = None if memory is None else laid_out(memory)
        between = convolution.states_between(rows, b, tables, first, plan, False)
        last = A_bar.new_empty((len(q), *A_bar.shape))
        convolution.walk(rows, rows, b, c, tables, first, between, last, plan, False)
    y = torch.empty_like(q)
    if plan.chunks:
        spread(q, rows, y)
        rows = rows.flatten()
    else:
        rows = q.new_empty(kept_read(q, A_bar))
    middle = None
    if whole < q.shape[1]:
        middle = last if plan.chunks else None
        _, kv, window = rest_products(k, v, shift, window, whole)
        read, last, made = recurrence.scan(kv, A_bar, B_bar, C, last)
        total = with_skip(read, kv, D_skip)
        torch.mul(from_time(q, whole), total, out=from_time(y, whole))
        between = between if plan.chunks else made
    assert last is not None
    assert window is not None
    return y, window, last, rows, *kept(A_bar, between, middle, plan)


def kept_read(q: Tensor, A_bar: Tensor) -> tuple[int]:
    """The shape of ``read`` as it is kept, with room for a chunk where there is none."""
    steps = steps_of_walk(q.shape, A_bar.shape[-1], A_bar.is_complex(), q.is_cuda)
    return (q.shape[0] * q.shape[2] * steps,)  # len of a symbol is none


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    D_skip: Tensor | None,
    window: Tensor | None,
    memory: Tensor | None,
    read: Tensor,
    between: Tensor,
    middle: Tensor,
    grad_y: Tensor,
    grad_window: Tensor | None,
    grad_memory: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """Gradients to all ten inputs, None for those that are None."""
    plan = plan_launches(q.shape, A_bar.shape[-1], A_bar.is_complex(), q.is_cuda)
    q, k, v, shift, grad_y = (laid_out(x) for x in (q, k, v, shift, grad_y))
    whole = plan.chunks * plan.tiling["T"]
    flow = grad_memory
    before = window
    found = []  # gradients to A_bar, B_bar, C and D_skip, of the rest and of the chunks
    grad_q = torch.empty_like(q)
    if plan.chunks:
        rows, dread = gradient_products(
            q, k, v, shift, window, laid_out(read), grad_y, grad_q, whole
        )
        tables, b, c = convolution.tables_of(A_bar, B_bar, C, D_skip, plan)
    grad_keys, grad_v = torch.empty_like(q), torch.empty_like(q)
    if whole < q.shape[1]:
        if plan.chunks:
            before = keys_before(k, window, whole, shift.shape[1] - 1)
        keys, kv, _ = rest_products(k, v, shift, before, whole)
        first = middle if plan.chunks else memory
        of_rest, _, _ = recurrence.scan(kv, A_bar, B_bar, C, first)
        dy = from_time(grad_y, whole).to(kv.dtype)
        grad_read = from_time(q, whole) * dy
        grad_kv, *sums, flow = recurrence.gradients(
            kv, A_bar, B_bar, C, first, between, grad_read, flow
        )
        grad_kv = with_skip(grad_kv, grad_read, D_skip)
        total = with_skip(of_rest, kv, D_skip)
        torch.mul(dy, total, out=from_time(grad_q, whole))
        torch.mul(from_time(v, whole), grad_kv, out=from_time(grad_keys, whole))
        torch.mul(keys, grad_kv, out=from_time(grad_v, whole))
        grad_D = None if D_skip is None else (grad_read * kv).sum((0, 1))
        found.append((*sums, grad_D))
    if plan.chunks:
        first = None if memory is None else laid_out(memory)
        last = None if flow is None else laid_out(flow)
        states = laid_out(between) if plan.segments > 1 else None
        flows = convolution.states_between(dread, c, tables, last, plan, True)
        sums, grad_D = parameter_gradients(
            rows, dread, A_bar, b, c, D_skip, tables, first, states, last, flows, plan
        )
        found.append((*sums, grad_D))
        flow = A_bar.new_empty((len(q), *A_bar.shape))
        convolution.walk(dread, dread, c, b, tables, last, flows, flow, plan, True)
        spread(v, dread, grad_keys, k, shift, window, grad_v)
    of_parameters = (total_of(parts) for parts in zip(*found, strict=True))
    grad_k, grad_shift, grad_first = sliding.gradients(
        k, shift, window, grad_keys, grad_window
    )
    return grad_q, grad_k, grad_v, grad_shift, *of_parameters, grad_first, flow


def total_of(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    """The sum of parts of a gradient, none of them None or all."""
    first, *others = parts
    for x in others:
        first = x if first is None or x is None else first + x
    return first


def products(
    k: Tensor, v: Tensor, shift: Tensor, window: Tensor | None, steps: int
) -> tuple[Tensor, Tensor]:
    """The windows of the first keys times the values, (B, D, steps), and the last of these
    keys."""
    batch, length, width = k.shape
    count, tile = shift.shape[1], tile_size(k)
    rows = k.new_empty((batch, width, steps))
    few = count - 1 > steps
    last = None if few else k.new_empty((batch, count - 1, width))
    runner(products_kernel, k)[(grid(batch, steps, width, tile),)](
        k, v, shift, sliding.before(window), rows, last,
        length, width, steps, count, tile,
    )  # fmt: skip
    return rows, keys_before(k, window, steps, count - 1) if last is None else last


def gradient_products(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Tensor,
    window: Tensor | None,
    read: Tensor,
    grad_y: Tensor,
    grad_q: Tensor,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """What ``products`` makes, and the gradient to ``read``, both (B, D, steps); that to q
    goes to ``grad_q``."""
    batch, length, width = k.shape
    count, tile = shift.shape[1], tile_size(k)
    rows, grad_read = (k.new_empty((batch, width, steps)) for _ in range(2))
    runner(gradient_products_kernel, k)[(grid(batch, steps, width, tile),)](
        q, k, v, shift, sliding.before(window), read, grad_y, rows, grad_read, grad_q,
        length, width, steps, count, tile,
    )  # fmt: skip
    return rows, grad_read


def spread(
    x: Tensor,
    rows: Tensor,
    out: Tensor,
    k: Tensor | None = None,
    taps: Tensor | None = None,
    window: Tensor | None = None,
    grad_v: Tensor | None = None,
) -> None:
    """x times rows (B, D, steps) to ``out`` (B, L, D), and the window of k times the same
    to ``grad_v``."""
    batch, length, width = x.shape
    steps, tile = rows.shape[2], tile_size(x)
    count = 1 if taps is None else taps.shape[1]
    runner(spread_kernel, x)[(grid(batch, steps, width, tile),)](
        x, rows, out, k, taps, sliding.before(window), grad_v,
        length, width, steps, count, tile,
    )  # fmt: skip


def rest_products(
    k: Tensor, v: Tensor, shift: Tensor, window: Tensor | None, whole: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The windows of keys from the time ``whole`` on, and their products with the values,
    in the dtype of the taps, and the last keys of all; ``window`` are those before."""
    before = None if window is None else window.to(shift.dtype)
    later = from_time(k, whole).to(shift.dtype)
    keys, last = sliding.convolve(later, shift, before)
    return keys, keys * from_time(v, whole), last.to(k.dtype)


def from_time(x: Tensor, begin: int) -> Tensor:
    """x (B, L, D) from a time on."""
    return x[:, begin:] if begin else x


def with_skip(read: Tensor, kv: Tensor, D_skip: Tensor | None) -> Tensor:
    return read if D_skip is None else torch.addcmul(read, D_skip, kv)


def keys_before(k: Tensor, window: Tensor | None, time: int, count: int) -> Tensor:
    """The last ``count`` keys before a time, those of the window in front of the first;
    zeros if it is None."""
    if count <= time:
        return k[:, time - count : time]
    if window is None:
        window = k.new_zeros((k.shape[0], count, k.shape[2]))
    return torch.cat([window[:, time:], k[:, :time]], dim=1)


def grid(batch: int, steps: int, width: int, tile: int) -> int:
    return batch * ceil_div(steps, tile) * ceil_div(width, tile)


def tile_size(like: Tensor) -> int:
    return 64 if like.is_cuda else 4
