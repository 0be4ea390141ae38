"""The shift state space model as Triton kernels: one launch forward, one backward, and
nothing that waits, as a window reads inputs alone.

Tiling. One program owns a tile of CHUNK times by BLOCK channels of one batch entry:

                     |<- BLOCK channels ->|
        M - 1 rows    the inputs before the tile, which another program owns
        CHUNK rows    its own: tap j weighs the tile that lies j rows up

A tile is loaded once for each tap, from the cache but for the first time. Backward the
tiles are over the M - 1 inputs of the state and those of the sequence together; a tile of
them meets the outputs' gradients j rows down, which gives their own gradients and the
tile's share of those of the taps, (tiles, D, M), summed in a fixed order afterwards.

Bytes. With e bytes a number and E = B L D, forward 2 e E (k, y), backward 3 e E (k, dy,
dk), the least there is, and 4 M E / CHUNK for the taps' shares.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.chunks import plan_launches
from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import power_of_two

COMPILED = {"CHUNK": 32, "BLOCK": 128, "num_warps": 4}
INTERPRETED = {"CHUNK": 4, "BLOCK": 2}  # it visits numbers one by one


@triton.jit
def tile_of_program(batch, width, CHUNK: tl.constexpr, BLOCK: tl.constexpr):
    """This program's rows (CHUNK, 1), channels (BLOCK,), chunk and batch entry."""
    blocks = tl.cdiv(width, BLOCK)
    channel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    entry = (tl.program_id(0) // blocks % batch).to(tl.int64)
    chunk = (tl.program_id(0) // blocks // batch).to(tl.int64)
    return chunk * CHUNK + tl.arange(0, CHUNK)[:, None], channel, chunk, entry


@triton.jit
def load_inputs(
    k_ptr, state_ptr, entry, time, channel, length, width, TAPS: tl.constexpr
):  # fmt: skip
    """The inputs (CHUNK, BLOCK) of these times (CHUNK, 1), in float32: before time 0 those
    of the state, zeros if it is None; zeros where there are none."""
    exists = channel[None, :] < width
    place = (entry * length + time) * width + channel[None, :]
    x = tl.load(k_ptr + place, mask=exists & (time >= 0) & (time < length), other=0.0)
    x = x.to(tl.float32)
    if state_ptr is not None:
        row = time + (TAPS - 1)
        place = (entry * (TAPS - 1) + row) * width + channel[None, :]
        mask = exists & (time < 0) & (row >= 0)
        before = tl.load(state_ptr + place, mask=mask, other=0.0).to(tl.float32)
        x = tl.where(time < 0, before, x)
    return x


@triton.jit
def weighed(
    k_ptr, taps_ptr, state_ptr, entry, time, channel, length, width,
    TAPS: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The sum of the last inputs by their taps, (CHUNK, BLOCK)."""
    y = tl.zeros((CHUNK, BLOCK), tl.float32)
    for j in range(TAPS):
        tap = tl.load(taps_ptr + channel * TAPS + j, mask=channel < width, other=0.0)
        x = load_inputs(k_ptr, state_ptr, entry, time - j, channel, length, width, TAPS)
        y += tap[None, :] * x
    return y


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def forward_kernel(
    k_ptr, taps_ptr, state_ptr, y_ptr, last_ptr,
    batch, length, width, chunks,
    TAPS: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """y, and by the programs of the last chunk the last TAPS - 1 inputs, ROWS of which are
    visited."""
    time, channel, chunk, entry = tile_of_program(batch, width, CHUNK, BLOCK)
    exists = channel < width
    y = weighed(
        k_ptr, taps_ptr, state_ptr, entry, time, channel, length, width,
        TAPS, CHUNK, BLOCK,
    )  # fmt: skip
    place = (entry * length + time) * width + channel[None, :]
    mask = exists[None, :] & (time < length)
    tl.store(y_ptr + place, y.to(y_ptr.dtype.element_ty), mask=mask)
    if chunk == chunks - 1:
        row = tl.arange(0, ROWS)[:, None]
        recent = length + row - (TAPS - 1)
        z = load_inputs(k_ptr, state_ptr, entry, recent, channel, length, width, TAPS)
        there = (entry * (TAPS - 1) + row) * width + channel[None, :]
        inside = exists[None, :] & (row < TAPS - 1)
        tl.store(last_ptr + there, z.to(last_ptr.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def backward_kernel(
    k_ptr, taps_ptr, state_ptr, grad_y_ptr, grad_last_ptr,
    grad_k_ptr, share_ptr, grad_state_ptr,
    batch, length, width, chunks,
    TAPS: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Tiles over TAPS - 1 + ``length`` inputs; ``share_ptr`` is (chunks, B, D, TAPS)."""
    row, channel, chunk, entry = tile_of_program(batch, width, CHUNK, BLOCK)
    exists = channel < width
    time = row - (TAPS - 1)
    x = load_inputs(k_ptr, state_ptr, entry, time, channel, length, width, TAPS)
    dx = tl.zeros((CHUNK, BLOCK), tl.float32)
    if grad_last_ptr is not None:
        place = (entry * (TAPS - 1) + row - length) * width + channel[None, :]
        mask = exists[None, :] & (row >= length) & (time < length)
        dx = tl.load(grad_last_ptr + place, mask=mask, other=0.0).to(tl.float32)
    share = share_ptr + ((chunk * batch + entry) * width + channel) * TAPS
    for j in range(TAPS):
        place = (entry * length + time + j) * width + channel[None, :]
        meets = (time + j >= 0) & (time + j < length)
        dy = tl.load(grad_y_ptr + place, mask=exists[None, :] & meets, other=0.0)
        dy = dy.to(tl.float32)
        tap = tl.load(taps_ptr + channel * TAPS + j, mask=exists, other=0.0)
        dx += tap[None, :] * dy
        if state_ptr is None:
            meets = meets & (time >= 0)
        tl.store(share + j, tl.sum(tl.where(meets, x * dy, 0.0), 0), mask=exists)
    place = (entry * length + time) * width + channel[None, :]
    mask = exists[None, :] & (time >= 0) & (time < length)
    tl.store(grad_k_ptr + place, dx.to(grad_k_ptr.dtype.element_ty), mask=mask)
    if grad_state_ptr is not None:
        place = (entry * (TAPS - 1) + row) * width + channel[None, :]
        mask = exists[None, :] & (time < 0)
        dx = dx.to(grad_state_ptr.dtype.element_ty)
        tl.store(grad_state_ptr + place, dx, mask=mask)


def convolve(k: Tensor, taps: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """y (B, L, D) and the last M - 1 inputs (B, M - 1, D)."""
    taps, tiling = laid_out(taps), tile_of(k)
    y = torch.empty_like(k, memory_format=torch.contiguous_format)
    count = taps.shape[1]
    last = k.new_empty((k.shape[0], count - 1, k.shape[2]))
    plan = plan_launches(k.shape, tiling["CHUNK"], tiling["BLOCK"])
    runner(forward_kernel, k)[plan.grid](
        laid_out(k), taps, before(state), y, last, *plan.sizes,
        count, power_of_two(count), **tiling,
    )  # fmt: skip
    return y, last


def gradients(
    k: Tensor,
    taps: Tensor,
    state: Tensor | None,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients to k, taps and the first state, None where that is None."""
    taps, tiling = laid_out(taps), tile_of(k)
    batch, length, width = k.shape
    count = taps.shape[1]
    grad_k = torch.empty_like(k, memory_format=torch.contiguous_format)
    first = before(state)
    grad_state = None if first is None else torch.empty_like(first)
    inputs = torch.Size((batch, length + count - 1, width))
    plan = plan_launches(inputs, tiling["CHUNK"], tiling["BLOCK"])
    chunks = plan.sizes[-1]
    shares = taps.new_empty((chunks, batch, width, count))
    runner(backward_kernel, k)[plan.grid](
        laid_out(k), taps, first, laid_out(grad_y), before(grad_last),
        grad_k, shares, grad_state, batch, length, width, chunks, count, **tiling,
    )  # fmt: skip
    if first is None and state is not None:
        grad_state = torch.zeros_like(state)
    return grad_k, shares.sum((0, 1)), grad_state


def before(state: Tensor | None) -> Tensor | None:
    """The state as the kernels read it; of one tap it holds nothing."""
    return None if state is None or 0 in state.shape else laid_out(state)


def tile_of(like: Tensor) -> dict[str, int]:
    return COMPILED if like.is_cuda else INTERPRETED
