"""The causal convolution with a short kernel as Triton kernels, forward and backward.

Tiling. One program owns STEPS times by BLOCK channels of one batch entry, and adds one
tap after the other: the tile of u, moved down by a step each time, from the cache.

             |<- BLOCK channels ->|
      time   |    STEPS times     |  += K_j * the same tile of u, j steps earlier
       v     |                    |

The gradient of u is the same with later times in place of earlier ones. For that of K a
program owns TAPS taps by BLOCK channels and walks over times; times are split between
programs, whose parts PyTorch adds: nothing is added atomically.

Bytes. With e bytes a number, forward moves 2 e B L D and backward 3 e B L D, the least
there is, as what is read again for another tap lies in a cache; M multiply-adds for each
number. From some taps on Fourier transforms are faster (``transforms.py``).
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.convolution import transforms
from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div

SHORT = 100
"""Up to so many taps, sums are faster than transforms."""
# This and the fastest tilings are those that benchmarks/kernel_tilings.py finds on an H200.
COMPILED = {"STEPS": 32, "BLOCK": 128}
INTERPRETED = {"STEPS": 4, "BLOCK": 2}
COMPILED_TAPS = {"TAPS": 16, "BLOCK": 64}
INTERPRETED_TAPS = {"TAPS": 2, "BLOCK": 2}
PROGRAMS = 2048
"""So many programs keep a GPU busy; times are split until there are."""


@triton.jit(do_not_specialize=["length", "taps", "stride"])
def convolution_kernel(
    u_ptr, K_ptr, y_ptr,
    length, width, taps, stride,
    REVERSED: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """y_t = sum of K_j u_{t-j}, or of K_j u_{t+j} if REVERSED; K (D, taps), with a stride
    between channels."""
    blocks = tl.cdiv(width, BLOCK)
    tiles = tl.cdiv(length, STEPS)
    channel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)[None, :]
    tile = tl.program_id(0) // blocks % tiles
    entry = (tl.program_id(0) // blocks // tiles).to(tl.int64)
    t = tile * STEPS + tl.arange(0, STEPS)[:, None]
    exists = channel < width
    place = (entry * length + t) * width + channel
    k_ptr = K_ptr + channel.to(tl.int64) * stride
    y = tl.zeros((STEPS, BLOCK), tl.float32)
    for j in range(taps):
        k = tl.load(k_ptr + j, mask=exists, other=0.0)
        if REVERSED:
            there = exists & (t + j < length)
            u = tl.load(u_ptr + place + j * width, mask=there, other=0.0)
        else:
            there = exists & (t >= j) & (t < length)
            u = tl.load(u_ptr + place - j * width, mask=there, other=0.0)
        y += k * u.to(tl.float32)
    tl.store(y_ptr + place, y.to(y_ptr.dtype.element_ty), mask=exists & (t < length))


@triton.jit(do_not_specialize=["length", "taps", "times"])
def taps_kernel(
    u_ptr, grad_y_ptr, parts_ptr,
    length, width, taps, times, splits,
    TAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The sum over ``times`` times of one batch entry of dy_t u_{t-j}: a part of K's
    gradient, for ``parts_ptr`` (batch * splits, D, taps)."""
    blocks = tl.cdiv(width, BLOCK)
    groups = tl.cdiv(taps, TAPS)
    channel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)[None, :]
    j = tl.program_id(0) // blocks % groups * TAPS + tl.arange(0, TAPS)[:, None]
    part = (tl.program_id(0) // blocks // groups).to(tl.int64)
    begin = part % splits * times
    exists = channel < width
    place = (part // splits * length + begin) * width + channel
    total = tl.zeros((TAPS, BLOCK), tl.float32)
    for step in range(tl.minimum(times, length - begin)):
        dy = tl.load(grad_y_ptr + place, mask=exists, other=0.0).to(tl.float32)
        there = exists & (begin + step >= j)
        u = tl.load(u_ptr + place - j * width, mask=there, other=0.0)
        total += dy * u.to(tl.float32)
        place += width
    where = parts_ptr + (part * width + channel) * taps + j
    tl.store(where, total, mask=exists & (j < taps))


class Plan(NamedTuple):
    """What the launches need beside their tensors: looked up by shape."""

    grid: tuple[int]
    """Programs for y, and for the gradient of u."""
    taps_grid: tuple[int]
    """Programs for the gradient of K."""
    times: int
    """For each of those."""
    splits: int
    """Of those for a batch entry."""


@lru_cache(maxsize=1024)
def plan_launches(shape: torch.Size, taps: int, compiled: bool) -> Plan:
    batch, length, width = shape
    tiling = COMPILED if compiled else INTERPRETED
    of_taps = COMPILED_TAPS if compiled else INTERPRETED_TAPS
    tiles = ceil_div(width, tiling["BLOCK"]) * ceil_div(length, tiling["STEPS"])
    owners = ceil_div(width, of_taps["BLOCK"]) * ceil_div(taps, of_taps["TAPS"])
    programs = PROGRAMS if compiled else 4 * owners
    splits = min(ceil_div(programs, batch * owners), ceil_div(length, 16))
    times = ceil_div(length, splits)
    splits = ceil_div(length, times)
    return Plan((batch * tiles,), (batch * splits * owners,), times, splits)


def convolve(u: Tensor, K: Tensor) -> Tensor:
    """y (B, L, D); the arguments are those of the registered op."""
    taps = min(u.shape[1], K.shape[1])
    if taps > SHORT:
        return transforms.convolve_by_transforms(u, K[:, :taps])
    return _sum(laid_out(u), laid_out(K), taps, False)


def gradients(u: Tensor, K: Tensor, grad_y: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients to u and K."""
    taps = min(u.shape[1], K.shape[1])
    if taps > SHORT:
        grad_u, grad_K, _ = transforms.gradients_by_transforms(
            u, K[:, :taps], None, grad_y, u.dtype
        )
    else:
        grad_y = laid_out(grad_y)
        grad_u = _sum(grad_y, laid_out(K), taps, True)
        grad_K = _gradient_of_taps(laid_out(u), grad_y, taps)
    if taps < K.shape[1]:
        grad_K = torch.nn.functional.pad(grad_K, (0, K.shape[1] - taps))
    return grad_u, grad_K


def _sum(u: Tensor, K: Tensor, taps: int, reverse: bool) -> Tensor:
    _, length, width = u.shape
    plan = plan_launches(u.shape, taps, u.is_cuda)
    y = torch.empty_like(u)
    runner(convolution_kernel, u)[plan.grid](
        u, K, y, length, width, taps, K.shape[1], reverse,
        **(COMPILED if u.is_cuda else INTERPRETED),
    )  # fmt: skip
    return y


def _gradient_of_taps(u: Tensor, grad_y: Tensor, taps: int) -> Tensor:
    batch, length, width = u.shape
    plan = plan_launches(u.shape, taps, u.is_cuda)
    shape = batch * plan.splits, width, taps
    parts = u.new_empty(shape, dtype=torch.float32)
    runner(taps_kernel, u)[plan.taps_grid](
        u, grad_y, parts, length, width, taps, plan.times, plan.splits,
        **(COMPILED_TAPS if u.is_cuda else INTERPRETED_TAPS),
    )  # fmt: skip
    return parts[0] if len(parts) == 1 else parts.sum(0)
