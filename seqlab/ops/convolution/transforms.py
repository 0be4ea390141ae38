"""The causal convolution with a long kernel, forward and backward: PyTorch's Fourier
transforms, and Triton kernels for what stands between them and (B, L, D).

Rows. cuFFT is fast along the last axis. For another one PyTorch copies its input until
it is the last, twice before an inverse transform, which doubled the time of a
convolution. So time becomes the last axis once, in tiles, as u is read: the same launch
makes float32 of it, writes the zeros behind the end, and turns each number as below.
Channels become the last axis again as y is written, in its own dtype.

A right angle. A transform convolves in a circle, where what runs out at the end comes in
again at the beginning. Padding to L + M - 1 points keeps the two apart. So does a factor
of -i for each time round, which puts into the imaginary part what has come round, and all
else is real; n = max(L, M) points are enough then. Turning the number at t by t n-ths of
a quarter makes that factor out of a plain transform (Crandall and Fagin, "Discrete
weighted transforms and large-integer arithmetic", 1994: a right-angle convolution):

    z_t = (u_t + i u_{t-n}) w_t,  k_j = K_j w_j,  w_t = e^{-i pi t / (2 n)}
    y_t = Re(w_t^* ifft(fft(z) fft(k))_t)

and the inputs before the first time, u_{t-n}, are the imaginary part from the start:
a state costs nothing, of as many taps as there are times too. A complex transform of n
points is as much work as a real one of 2 n. It moves less: PyTorch copies the spectrum
before it inverts one to real numbers, since cuFFT destroys that. A real one of fewer
points is taken where one of the two, L or M, is about half of the other or less.

Backward is the same with conjugate spectra: one product for the gradient of u, and one
for that of K, summed over batch entries, by one launch. The spectrum of u is made again:
kept from forward, it would be twice the bytes of a float32 u for each convolution of a
model, for a quarter of the time of its backward pass.

Bytes, where L = M = n, E = 4 B L D, and each transform reads and writes once: forward
3 E to rows, 4 E a transform, 4 E for the product, 3 E to columns, 18 E in all (the
portable form, by real transforms of padded rows, 22 E); backward 27 E.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.fft import fft, ifft, irfft, rfft

from seqlab.ops.convolution.portable import points
from seqlab.ops.device.angles import cos_and_sin
from seqlab.ops.device.pairs import (
    laid_out,
    load_pairs,
    split_pairs,
    store_pairs,
    times_conjugate,
)
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div

# Of sizes and strides Triton sees whether they are 1, a multiple of 16 or neither, and so
# whether four neighbors may be read or written at once; it compiles for no size of its own.
COMPILED = {"TIMES": 32, "CHANNELS": 64}
INTERPRETED = {"TIMES": 32, "CHANNELS": 2}
COMPILED_BLOCK, INTERPRETED_BLOCK = 512, 64


@triton.jit
def tile_of_program(times, channels, TIMES: tl.constexpr, CHANNELS: tl.constexpr):
    """The batch entry, the first time and the first channel of a program's tile."""
    across = tl.cdiv(channels, CHANNELS)
    tiles = tl.cdiv(times, TIMES) * across
    tile = tl.program_id(0) % tiles
    entry, row, column = tl.program_id(0) // tiles, tile // across, tile % across
    return entry.to(tl.int64), row.to(tl.int64) * TIMES, column.to(tl.int64) * CHANNELS


@triton.jit
def quarter_turn(t, n):
    """Cosine and sine of t n-ths of a quarter turn."""
    return cos_and_sin(t.to(tl.float32) / n * 1.5707963267948966)


@triton.jit(do_not_specialize=["before"])
def to_rows_kernel(
    u_ptr, state_ptr, rows_ptr,
    length, before, channels, n, numbers, u_batch, u_time, u_channel,
    TURNED: tl.constexpr, TIMES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Rows (B, D, n) of u, with strides, and of a state (B, before, D), which ends where
    the circle does; complex if TURNED, which makes 2 n real ``numbers`` of a row."""
    entry, begin, left = tile_of_program(n, channels, TIMES, CHANNELS)
    t, channel = begin + tl.arange(0, TIMES), left + tl.arange(0, CHANNELS)
    exists = (channel < channels)[None, :]
    place = u_ptr + entry * u_batch + t[:, None] * u_time + channel[None, :] * u_channel
    now = tl.load(place, mask=(t < length)[:, None] & exists, other=0.0).to(tl.float32)
    past = tl.zeros_like(now)
    if state_ptr is not None:
        s = t - (n - before)
        place = state_ptr + (entry * before + s[:, None]) * channels + channel[None, :]
        there = ((s >= 0) & (t < n))[:, None] & exists
        past = tl.load(place, mask=there, other=0.0).to(tl.float32)
    row = rows_ptr + (entry * channels + channel[:, None]) * numbers
    exists = (channel < channels)[:, None]
    if TURNED:
        cos, sin = quarter_turn(t[:, None], n)
        x0 = tl.trans(now * cos + past * sin)
        x1 = tl.trans(past * cos - now * sin)
        column = 2 * begin + tl.arange(0, 2 * TIMES)
        mask = exists & (column < numbers)[None, :]
        store_pairs(row + column[None, :], x0, x1, mask, CHANNELS, TIMES)
    else:
        tl.store(row + t[None, :], tl.trans(now + past), mask=exists & (t < n)[None, :])


@triton.jit(do_not_specialize=["before", "times"])
def to_columns_kernel(
    rows_ptr, y_ptr, state_ptr,
    length, before, channels, n, numbers, times, y_batch, y_time, y_channel,
    TURNED: tl.constexpr, TIMES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The transpose of the other kernel, as a linear map: the first ``times`` places to y,
    with strides, and to the gradient of a state where it has a place."""
    entry, begin, left = tile_of_program(times, channels, TIMES, CHANNELS)
    t, channel = begin + tl.arange(0, TIMES), left + tl.arange(0, CHANNELS)
    row = rows_ptr + (entry * channels + channel[:, None]) * numbers
    exists = (channel < channels)[:, None]
    if TURNED:
        column = 2 * begin + tl.arange(0, 2 * TIMES)
        mask = exists & (column < numbers)[None, :]
        x = tl.load(row + column[None, :], mask=mask, other=0.0)
        x0, x1 = split_pairs(x, CHANNELS, TIMES)
        cos, sin = quarter_turn(t[None, :], n)
        now = tl.trans(x0 * cos - x1 * sin)
        past = tl.trans(x0 * sin + x1 * cos)
    else:
        mask = exists & (t < n)[None, :]
        now = tl.trans(tl.load(row + t[None, :], mask=mask, other=0.0))
        past = now
    exists = (channel < channels)[None, :]
    place = y_ptr + entry * y_batch + t[:, None] * y_time + channel[None, :] * y_channel
    now = now.to(y_ptr.dtype.element_ty)
    tl.store(place, now, mask=(t < length)[:, None] & exists)
    if state_ptr is not None:
        s = t - (n - before)
        place = state_ptr + (entry * before + s[:, None]) * channels + channel[None, :]
        there = ((s >= 0) & (t < n))[:, None] & exists
        tl.store(place, past.to(state_ptr.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["batch"])
def products_kernel(
    u_ptr, flow_ptr, k_ptr, grad_k_ptr, batch, numbers, BLOCK: tl.constexpr
):  # fmt: skip
    """Of spectra, of ``numbers`` real numbers a batch entry: the sum over those of y's
    gradient times u's, conjugated; and the first times K's, conjugated, in its place."""
    column = (
        tl.program_id(0).to(tl.int64) * (2 * BLOCK) + tl.arange(0, 2 * BLOCK)[None, :]
    )
    mask = column < numbers
    k0, k1 = load_pairs(k_ptr + column, mask, 1, BLOCK)
    total0 = tl.zeros((1, BLOCK), tl.float32)
    total1 = tl.zeros((1, BLOCK), tl.float32)
    place = column
    for _ in range(batch):
        g0, g1 = load_pairs(flow_ptr + place, mask, 1, BLOCK)
        u0, u1 = load_pairs(u_ptr + place, mask, 1, BLOCK)
        p0, p1 = times_conjugate(g0, g1, u0, u1, True)
        total0 += p0
        total1 += p1
        p0, p1 = times_conjugate(g0, g1, k0, k1, True)
        store_pairs(flow_ptr + place, p0, p1, mask, 1, BLOCK)
        place += numbers
    store_pairs(grad_k_ptr + column, total0, total1, mask, 1, BLOCK)


class Circle(NamedTuple):
    """What u and K are transformed on."""

    n: int
    turned: bool
    """By a quarter for each time round."""

    @property
    def numbers(self) -> int:
        """Real ones of a row."""
        return 2 * self.n if self.turned else self.n


@lru_cache(maxsize=1024)
def circle_of(length: int, taps: int) -> Circle:
    """The one that moves fewer bytes. Forward and backward, what is transformed, multiplied
    and transformed back comes to 40 n B D numbers in complex transforms of n points, and
    to 24 n B D in real ones, PyTorch's copies among them."""
    turned, plain = points(max(length, taps)), points(length + taps - 1)
    return Circle(turned, True) if 5 * turned <= 3 * plain else Circle(plain, False)


def convolve_by_transforms(u: Tensor, K: Tensor, state: Tensor | None = None) -> Tensor:
    """y (B, L, D), of u's dtype, for taps (D, M), all of which take part, and the M - 1
    inputs before, (B, M - 1, D), or none."""
    circle = circle_of(u.shape[1], K.shape[1])
    spectrum = _transform(u, state, circle)
    spectrum *= _transform(K.mT[None], None, circle, "forward")
    y = u.new_empty(u.shape)
    _to_columns(_inverse(spectrum, circle, "forward"), y, None, circle)
    return y


def gradients_by_transforms(
    u: Tensor, K: Tensor, state: Tensor | None, grad_y: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients to u, in ``dtype``, to K, and to the state, in ``dtype`` too, if there is
    one."""
    circle = circle_of(u.shape[1], K.shape[1])
    spectrum = _transform(u, state, circle)
    flow = _transform(grad_y, None, circle)
    of_K = _transform(K.mT[None], None, circle, "forward")
    grad_of_K = torch.empty_like(of_K)
    numbers = 2 * of_K.numel()
    block = COMPILED_BLOCK if u.is_cuda else INTERPRETED_BLOCK
    runner(products_kernel, u)[(ceil_div(numbers, 2 * block),)](
        spectrum, flow, of_K, grad_of_K, len(u), numbers, block
    )
    del spectrum, of_K
    grad_K = K.new_empty(K.shape)
    _to_columns(_inverse(grad_of_K, circle, "backward"), grad_K.mT[None], None, circle)
    grad_u = u.new_empty(u.shape, dtype=dtype)
    grad_state = None if state is None else state.new_empty(state.shape, dtype=dtype)
    _to_columns(_inverse(flow, circle, "forward"), grad_u, grad_state, circle)
    return grad_u, grad_K, grad_state


def _transform(
    u: Tensor, state: Tensor | None, circle: Circle, norm: str = "backward"
) -> Tensor:
    """The spectrum of u (B, L, D), of any strides, and of the inputs before it: (B, D, n)
    or (B, D, n // 2 + 1). That of K takes the factor 1 / n, as the smallest."""
    n, turned = circle
    batch, length, channels = u.shape
    u = u.resolve_neg() if u.is_neg() else u
    state = None if state is None else laid_out(state)
    dtype = torch.complex64 if turned else torch.float32
    rows = u.new_empty((batch, channels, n), dtype=dtype)
    tiling = COMPILED if u.is_cuda else INTERPRETED
    runner(to_rows_kernel, u)[(_programs(batch, n, channels, tiling),)](
        u, state, rows, length, 0 if state is None else state.shape[1], channels,
        n, circle.numbers, *u.stride(), turned, **tiling,
    )  # fmt: skip
    return fft(rows, norm=norm) if turned else rfft(rows, norm=norm)


def _inverse(spectrum: Tensor, circle: Circle, norm: str) -> Tensor:
    """Rows (B, D, n)."""
    n, turned = circle
    return ifft(spectrum, norm=norm) if turned else irfft(spectrum, n, norm=norm)


def _to_columns(rows: Tensor, y: Tensor, state: Tensor | None, circle: Circle) -> None:
    """The rows to y (B, L, D), of any strides, and to the state's gradient."""
    n, turned = circle
    batch, length, channels = y.shape
    times = length if state is None else n
    tiling = COMPILED if y.is_cuda else INTERPRETED
    runner(to_columns_kernel, y)[(_programs(batch, times, channels, tiling),)](
        rows, y, state, length, 0 if state is None else state.shape[1], channels,
        n, circle.numbers, times, *y.stride(), turned, **tiling,
    )  # fmt: skip


def _programs(batch: int, times: int, channels: int, tiling: dict[str, int]) -> int:
    tiles = ceil_div(times, tiling["TIMES"]) * ceil_div(channels, tiling["CHANNELS"])
    return batch * tiles
