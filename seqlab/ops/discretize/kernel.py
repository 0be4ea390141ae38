"""The diagonal case of discretization as a Triton kernel, forward and backward.

Everything is elementwise over (T, D, N) but for what does not vary: A, B and dt are
(T or 1, D or 1, N or 1), and their gradients are sums over the axes that they lack.

Tiling. One program owns a tile of ROWS x COLUMNS of (D, N) and walks over a span of
times, so that what does not vary in time is read once and its gradient stays in
registers:

                  |<------ N ------>|
                   COLUMNS           one row of dt
      D   ROWS    +--------+--------+ +-+
           |      | tile   |  tile  | | |      the next times of the span follow
           v      +--------+--------+ +-+      behind it: t, t + 1, ..., t + SPAN - 1
                  | tile   |  tile  | | |
                  +--------+--------+ +-+

A sum that ends with the span or at the tile's border goes to memory in float32 as the
program's own part; PyTorch adds the parts. So nothing is added atomically, and two runs
give the same bits.

Bytes. With e bytes a number (twice that for complex ones): forward writes A_bar and B_bar,
2 e T D N (foh: 3), and backward reads their gradients, as much again. Beside that stand A,
B, dt and their gradients, each read or written once: next to nothing where they lack an
axis, as in Mamba, e T D N for one that lacks none. Equation 5.17. The parts add 4 / (e
SPAN) of an array for an A that is fixed in time, 4 / (e ROWS) for a B that all of D shares.

Numbers are pairs, (real, imaginary); where all are real nothing reads the second half, and
the compiler drops it. The axes along which a tensor varies are a sum of T, D and N.
"""

import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import (
    join_pairs,
    laid_out,
    reciprocal,
    split_pairs,
    times,
    times_conjugate,
)
from seqlab.ops.device.rounding import product_error
from seqlab.ops.discretize import plan as axes
from seqlab.ops.discretize.plan import plan_launch
from seqlab.ops.interpreter import runner

T = tl.constexpr(axes.T)
D = tl.constexpr(axes.D)
N = tl.constexpr(axes.N)
ALL = tl.constexpr(axes.T + axes.D + axes.N)


@triton.jit
def horner(x0, x1, y0, y1, constant, COMPLEX: tl.constexpr):
    """x y + constant."""
    x0, x1 = times(x0, x1, y0, y1, COMPLEX)
    return x0 + constant, x1


@triton.jit
def scale_of(z0):
    """The factor that e^z and all that is made of it are kept without: e^32 for a z so
    large that float32 has no room for e^z, though it may have for dt phi_k(z) B. Beside
    the e^32 that is left, the 1 of equation 5.9 is nothing."""
    return tl.where(z0 > 64.0, 7.896296018268069e13, 1.0)


@triton.jit
def exponential(dt, A1, z0, z1, COMPLEX: tl.constexpr):
    """e^z / scale, z = dt A. The angle is z1 and the rounding error of z1, which turns by
    a little more."""
    size = tl.exp(tl.where(z0 > 64.0, z0 - 32.0, z0))
    if COMPLEX:
        rest = product_error(dt, A1, z1)
        square = rest * rest
        rest_cos = 1.0 - square * (0.5 - square / 24.0)
        rest_sin = rest * (1.0 - square / 6.0)
        cos = tl.cos(z1)
        sin = tl.sin(z1)
        return (
            size * (cos * rest_cos - sin * rest_sin),
            size * (sin * rest_cos + cos * rest_sin),
        )
    else:
        return size, size


@triton.jit
def phis(z0, z1, e0, e1, COMPLEX: tl.constexpr):
    """phi_1, phi_1', phi_1'', phi_2, phi_2' at z, as pairs, given e = e^z (all over scale):
    by the series of phi_3 where |z| is below about 1, by recursion elsewhere, each where
    the other loses digits."""
    small = (tl.abs(z0) < 0.7) & (tl.abs(z1) < 0.7)
    near0 = tl.where(small, z0, 0.0)
    near1 = tl.where(small, z1, 0.0)
    h0 = near0 * (1 / 3628800) + 1 / 362880
    h1 = near1 * (1 / 3628800)
    h0, h1 = horner(h0, h1, near0, near1, 1 / 40320, COMPLEX)
    h0, h1 = horner(h0, h1, near0, near1, 1 / 5040, COMPLEX)
    h0, h1 = horner(h0, h1, near0, near1, 1 / 720, COMPLEX)
    h0, h1 = horner(h0, h1, near0, near1, 1 / 120, COMPLEX)
    h0, h1 = horner(h0, h1, near0, near1, 1 / 24, COMPLEX)
    h0, h1 = horner(h0, h1, near0, near1, 1 / 6, COMPLEX)
    g0, g1 = horner(h0, h1, near0, near1, 1 / 2, COMPLEX)  # eq. 5.9, upwards
    f0, f1 = horner(g0, g1, near0, near1, 1, COMPLEX)
    df0 = f0 - g0  # eq. 5.13
    df1 = f1 - g1
    dg0 = g0 - 2.0 * h0
    dg1 = g1 - 2.0 * h1
    ddf0 = df0 - dg0
    ddf1 = df1 - dg1

    away1 = tl.where(small, 0.0 if COMPLEX else 1.0, z1)
    w0, w1 = reciprocal(tl.where(small, 1.0, z0), away1, COMPLEX)
    F0, F1 = times(e0 - 1.0, e1, w0, w1, COMPLEX)
    G0, G1 = times(F0 - 1.0, F1, w0, w1, COMPLEX)  # eq. 5.9
    dF0, dF1 = times(e0 - F0, e1 - F1, w0, w1, COMPLEX)  # its derivatives
    ddF0, ddF1 = times(e0 - 2.0 * dF0, e1 - 2.0 * dF1, w0, w1, COMPLEX)
    dG0, dG1 = times(dF0 - G0, dF1 - G1, w0, w1, COMPLEX)
    return (
        tl.where(small, f0, F0),
        tl.where(small, f1, F1),
        tl.where(small, df0, dF0),
        tl.where(small, df1, dF1),
        tl.where(small, ddf0, ddF0),
        tl.where(small, ddf1, ddF1),
        tl.where(small, g0, G0),
        tl.where(small, g1, G1),
        tl.where(small, dg0, dG0),
        tl.where(small, dg1, dG1),
    )


@triton.jit
def hold(dt, A1, z0, z1, METHOD: tl.constexpr, COMPLEX: tl.constexpr):
    """e^z, then each weight w of B_bar = dt w(z) B with its derivative, all over scale:
    one weight for zoh, two for foh (the second pair repeats the first for zoh)."""
    e0, e1 = exponential(dt, A1, z0, z1, COMPLEX)
    f0, f1, df0, df1, ddf0, ddf1, g0, g1, dg0, dg1 = phis(z0, z1, e0, e1, COMPLEX)
    if METHOD == "zoh":
        return e0, e1, f0, f1, df0, df1, f0, f1, df0, df1  # eq. 5.8
    else:  # eq. 5.10: phi_1 - phi_2 is phi_1'
        return e0, e1, df0, df1, ddf0, ddf1, g0, g1, dg0, dg1


@triton.jit
def part(fraction, x):
    """fraction x, and 0 where the fraction is 0, whatever x is: the equation has no such
    term then, and 0 times an infinity or a NaN would be no 0."""
    return tl.where(fraction == 0.0, 0.0, fraction * x)


@triton.jit
def resolvent(alpha, z0, z1, COMPLEX: tl.constexpr):
    """1 / (1 - alpha z)."""
    x0 = 1.0 - part(alpha, z0)
    return reciprocal(x0, -part(alpha, z1) if COMPLEX else x0, COMPLEX)


@triton.jit
def find_tile(channels, states, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """This program's tile (its block of rows, its block of columns, the sizes that they
    are blocks of) and its span of times, in 64 bits, as offsets may pass 2^31."""
    down = (channels + ROWS - 1) // ROWS
    across = (states + COLUMNS - 1) // COLUMNS
    program = tl.program_id(0).to(tl.int64)
    tile = (program % down, program // down % across, channels, states)
    return tile, program // down // across


@triton.jit
def place(
    pointer,
    t,
    tile,
    AXES: tl.constexpr,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Where the tile's numbers stand at time t in a tensor that varies along AXES, (ROWS,
    COLUMNS) or twice as many columns, and which of them there are."""
    block, side, channels, states = tile
    PARTS: tl.constexpr = 2 if COMPLEX else 1
    width = states * PARTS
    begin = side * COLUMNS * PARTS  # in 64 bits; what follows within the tile in 32
    row = tl.arange(0, ROWS)[:, None]
    number = tl.arange(0, COLUMNS * PARTS)[None, :]
    exists = (row < channels - block * ROWS) & (number < width - begin)
    if D & AXES:
        begin += (block * ROWS + (t * channels if T & AXES else 0)) * width
    elif T & AXES:
        begin += t * width
    inside = number + (row * width if D & AXES else row * 0)
    return pointer + begin + inside, exists


@triton.jit
def load(
    pointer,
    before,
    t,
    tile,
    AXES: tl.constexpr,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The tile's numbers at time t, 0 where there are none; what does not vary in time is
    as it was before, once it has been loaded."""
    if before is None or T & AXES:
        if N & AXES:
            at, exists = place(pointer, t, tile, AXES, COMPLEX, ROWS, COLUMNS)
        else:
            column = (tile[0], 0, tile[2], 1)
            at, exists = place(pointer, t, column, AXES, COMPLEX, ROWS, 1)
        x0 = tl.load(at, mask=exists, other=0.0).to(tl.float32)
        x1 = x0
        if COMPLEX:
            x0, x1 = split_pairs(x0, ROWS, COLUMNS if N & AXES else 1)
        x0 = tl.broadcast_to(x0, (ROWS, COLUMNS))
        return x0, tl.broadcast_to(x1, (ROWS, COLUMNS))
    else:
        return before


@triton.jit
def store(
    pointer,
    x0,
    x1,
    t,
    tile,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The tile's numbers at time t into a tensor that varies along all axes."""
    at, exists = place(pointer, t, tile, ALL, COMPLEX, ROWS, COLUMNS)
    numbers = join_pairs(x0, x1, ROWS, COLUMNS) if COMPLEX else x0
    tl.store(at, numbers.to(pointer.dtype.element_ty), mask=exists)


@triton.jit(do_not_specialize=["length"])
def forward_kernel(
    A_ptr,
    B_ptr,
    dt_ptr,
    A_bar_ptr,
    B_bar_ptr,
    alpha,
    length,
    channels,
    states,
    METHOD: tl.constexpr,
    A_AXES: tl.constexpr,
    B_AXES: tl.constexpr,
    DT_AXES: tl.constexpr,
    COMPLEX: tl.constexpr,
    SPAN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A_bar and B_bar, (T, D, N); for foh two B_bar, (2, T, D, N)."""
    tile, span = find_tile(channels, states, ROWS, COLUMNS)
    begin = span * SPAN
    A = load(A_ptr, None, begin, tile, A_AXES, COMPLEX, ROWS, COLUMNS)
    B = load(B_ptr, None, begin, tile, B_AXES, COMPLEX, ROWS, COLUMNS)
    step = load(dt_ptr, None, begin, tile, DT_AXES, False, ROWS, COLUMNS)
    for t in tl.range(begin, tl.minimum(begin + SPAN, length)):
        A0, A1 = load(A_ptr, A, t, tile, A_AXES, COMPLEX, ROWS, COLUMNS)
        B0, B1 = load(B_ptr, B, t, tile, B_AXES, COMPLEX, ROWS, COLUMNS)
        dt, _ = load(dt_ptr, step, t, tile, DT_AXES, False, ROWS, COLUMNS)
        z0 = dt * A0
        z1 = dt * A1
        if METHOD == "gbt":
            scale = 1.0
            w0, w1 = resolvent(alpha, z0, z1, COMPLEX)
            y0 = 1.0 + part(1.0 - alpha, z0)
            e0, e1 = times(y0, part(1.0 - alpha, z1), w0, w1, COMPLEX)  # eq. 5.7
        else:
            scale = scale_of(z0)
            e0, e1, w0, w1, _, _, v0, v1, _, _ = hold(dt, A1, z0, z1, METHOD, COMPLEX)
        store(A_bar_ptr, e0 * scale, e1 * scale, t, tile, COMPLEX, ROWS, COLUMNS)
        x0, x1 = times(dt * w0, dt * w1, B0, B1, COMPLEX)
        store(B_bar_ptr, x0 * scale, x1 * scale, t, tile, COMPLEX, ROWS, COLUMNS)
        if METHOD == "foh":
            x0, x1 = times(dt * v0, dt * v1, B0, B1, COMPLEX)
            x0 *= scale
            x1 *= scale
            store(B_bar_ptr, x0, x1, length + t, tile, COMPLEX, ROWS, COLUMNS)


@triton.jit
def reduce(
    pointer,
    x0,
    x1,
    t,
    tile,
    AXES: tl.constexpr,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Store the tile's part of a gradient: its sum over columns where the tensor does not
    vary along N, over rows where it does not along D."""
    block, side, channels, states = tile
    if not N & AXES:
        x0 = tl.sum(x0, 1, keep_dims=True)
        x1 = tl.sum(x1, 1, keep_dims=True)
        states = (states + COLUMNS - 1) // COLUMNS
    if not D & AXES:
        x0 = tl.sum(x0, 0, keep_dims=True)
        x1 = tl.sum(x1, 0, keep_dims=True)
        channels = (channels + ROWS - 1) // ROWS
    store(
        pointer, x0, x1, t, (block, side, channels, states),
        COMPLEX, ROWS if D & AXES else 1, COLUMNS if N & AXES else 1,
    )  # fmt: skip


@triton.jit
def gather(
    pointer,
    total0,
    total1,
    x0,
    x1,
    t,
    tile,
    AXES: tl.constexpr,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The total of a gradient over the span with that of time t, which is stored at once
    where the tensor varies in time."""
    if T & AXES:
        reduce(pointer, x0, x1, t, tile, AXES, COMPLEX, ROWS, COLUMNS)
        return total0, total1
    else:
        return total0 + x0, total1 + x1


@triton.jit(do_not_specialize=["length"])
def backward_kernel(
    A_ptr,
    B_ptr,
    dt_ptr,
    grad_A_bar_ptr,
    grad_B_bar_ptr,
    grad_A_ptr,
    grad_B_ptr,
    grad_dt_ptr,
    alpha,
    length,
    channels,
    states,
    METHOD: tl.constexpr,
    A_AXES: tl.constexpr,
    B_AXES: tl.constexpr,
    DT_AXES: tl.constexpr,
    COMPLEX: tl.constexpr,
    SPAN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Parts of the gradients, (T or spans, D or blocks of rows, N or blocks of columns)."""
    tile, span = find_tile(channels, states, ROWS, COLUMNS)
    begin = span * SPAN
    A = load(A_ptr, None, begin, tile, A_AXES, COMPLEX, ROWS, COLUMNS)
    B = load(B_ptr, None, begin, tile, B_AXES, COMPLEX, ROWS, COLUMNS)
    step = load(dt_ptr, None, begin, tile, DT_AXES, False, ROWS, COLUMNS)
    sum_A0 = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    sum_A1 = sum_A0
    sum_B0 = sum_A0
    sum_B1 = sum_A0
    sum_dt = sum_A0
    for t in tl.range(begin, tl.minimum(begin + SPAN, length)):
        A0, A1 = load(A_ptr, A, t, tile, A_AXES, COMPLEX, ROWS, COLUMNS)
        B0, B1 = load(B_ptr, B, t, tile, B_AXES, COMPLEX, ROWS, COLUMNS)
        dt, _ = load(dt_ptr, step, t, tile, DT_AXES, False, ROWS, COLUMNS)
        p0, p1 = load(grad_A_bar_ptr, None, t, tile, ALL, COMPLEX, ROWS, COLUMNS)
        q0, q1 = load(grad_B_bar_ptr, None, t, tile, ALL, COMPLEX, ROWS, COLUMNS)
        z0 = dt * A0
        z1 = dt * A1

        # Slope of A_bar, then weight and slope of B_bar (of gbt, but for alpha).
        if METHOD == "gbt":
            scale = 1.0
            w0, w1 = resolvent(alpha, z0, z1, COMPLEX)
            e0, e1 = times(w0, w1, w0, w1, COMPLEX)
            s0 = e0
            s1 = e1
        else:
            scale = scale_of(z0)
            e0, e1, w0, w1, s0, s1, v0, v1, r0, r1 = hold(
                dt, A1, z0, z1, METHOD, COMPLEX
            )
        # With G the gradient to B_bar = dt w(z) B: conj(w) G is that to dt B, and
        # conj(s) G that to z, but for the factor dt conj(B).
        weighted0, weighted1 = times_conjugate(q0, q1, w0, w1, COMPLEX)
        sloped0, sloped1 = times_conjugate(q0, q1, s0, s1, COMPLEX)
        if METHOD == "foh":
            q0, q1 = load(
                grad_B_bar_ptr, None, length + t, tile, ALL, COMPLEX, ROWS, COLUMNS
            )
            x0, x1 = times_conjugate(q0, q1, v0, v1, COMPLEX)
            weighted0 += x0
            weighted1 += x1
            x0, x1 = times_conjugate(q0, q1, r0, r1, COMPLEX)
            sloped0 += x0
            sloped1 += x1
        x0, x1 = times_conjugate(p0, p1, e0, e1, COMPLEX)
        y0, y1 = times_conjugate(sloped0, sloped1, B0, B1, COMPLEX)
        if METHOD == "gbt":
            y0 = part(alpha, y0)
            y1 = part(alpha, y1)
        grad_z0 = x0 + dt * y0
        grad_z1 = x1 + dt * y1
        dt_from_z, _ = times_conjugate(grad_z0, grad_z1, A0, A1, COMPLEX)
        dt_from_B, _ = times_conjugate(weighted0, weighted1, B0, B1, COMPLEX)
        grad_dt = (dt_from_z + dt_from_B) * scale  # eq. 5.14
        dt *= scale
        sum_A0, sum_A1 = gather(
            grad_A_ptr, sum_A0, sum_A1, dt * grad_z0, dt * grad_z1, t, tile,
            A_AXES, COMPLEX, ROWS, COLUMNS,
        )  # fmt: skip
        sum_B0, sum_B1 = gather(
            grad_B_ptr, sum_B0, sum_B1, dt * weighted0, dt * weighted1, t, tile,
            B_AXES, COMPLEX, ROWS, COLUMNS,
        )  # fmt: skip
        sum_dt, _ = gather(
            grad_dt_ptr, sum_dt, sum_dt, grad_dt, grad_dt, t, tile,
            DT_AXES, False, ROWS, COLUMNS,
        )  # fmt: skip
    if not T & A_AXES:
        reduce(grad_A_ptr, sum_A0, sum_A1, span, tile, A_AXES, COMPLEX, ROWS, COLUMNS)
    if not T & B_AXES:
        reduce(grad_B_ptr, sum_B0, sum_B1, span, tile, B_AXES, COMPLEX, ROWS, COLUMNS)
    if not T & DT_AXES:
        reduce(grad_dt_ptr, sum_dt, sum_dt, span, tile, DT_AXES, False, ROWS, COLUMNS)


def steps(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float
) -> tuple[Tensor, Tensor]:
    """A_bar and B_bar; the arguments are those of the registered op."""
    plan = plan_launch(A.shape, B.shape, dt.shape, A.dtype, method, False, A.is_cuda)
    A_bar = A.new_empty(plan.A_bar)
    B_bar = A.new_empty(plan.B_bar)
    runner(forward_kernel, A)[plan.grid](
        laid_out(plan.A.expand(A)), laid_out(plan.B.expand(B)),
        laid_out(plan.dt.expand(dt)), A_bar, B_bar,
        alpha, *plan.sizes, *plan.constants, num_warps=plan.num_warps,
    )  # fmt: skip
    return A_bar, B_bar


def gradients(
    A: Tensor,
    B: Tensor,
    dt: Tensor,
    grad_A_bar: Tensor,
    grad_B_bar: Tensor,
    method: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to A, B and dt, summed over the axes that these lack."""
    plan = plan_launch(A.shape, B.shape, dt.shape, A.dtype, method, True, A.is_cuda)
    grad_A, grad_B = plan.A.parts_like(A), plan.B.parts_like(B)
    grad_dt = plan.dt.parts_like(dt)
    runner(backward_kernel, A)[plan.grid](
        laid_out(plan.A.expand(A)), laid_out(plan.B.expand(B)),
        laid_out(plan.dt.expand(dt)),
        laid_out(grad_A_bar), laid_out(grad_B_bar), grad_A, grad_B, grad_dt,
        alpha, *plan.sizes, *plan.constants, num_warps=plan.num_warps,
    )  # fmt: skip
    return plan.A.sum(grad_A, A), plan.B.sum(grad_B, B), plan.dt.sum(grad_dt, dt)
