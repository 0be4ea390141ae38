"""The diagonal case of discretization as a Triton kernel, forward and backward.

Everything is elementwise over (T, D, N) but for what does not vary: A, B and dt are
(T or 1, D or 1, N), dt with N = 1, and their gradients are sums over the axes that they
lack. The methods differ in a few operations on numbers already in registers.

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

Complex numbers are pairs, (real, imaginary). For real ones the second half of a pair is a
copy of the first that nothing reads, and the compiler drops it.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def add(x, y):
    return x + y


@triton.jit
def times(x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """x y."""
    if COMPLEX:
        return x0 * y0 - x1 * y1, x0 * y1 + x1 * y0
    else:
        return x0 * y0, x0 * y0


@triton.jit
def times_conjugate(x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """x conj(y)."""
    if COMPLEX:
        return x0 * y0 + x1 * y1, x1 * y0 - x0 * y1
    else:
        return x0 * y0, x0 * y0


@triton.jit
def reciprocal(x0, x1, COMPLEX: tl.constexpr):
    """1 / x; x is scaled first, as the square of its modulus may overflow."""
    if COMPLEX:
        scale = 1.0 / tl.maximum(tl.abs(x0), tl.abs(x1))
        y0 = x0 * scale
        y1 = x1 * scale
        scale = scale / (y0 * y0 + y1 * y1)
        return y0 * scale, -y1 * scale
    else:
        return 1.0 / x0, 1.0 / x0


@triton.jit
def horner(x0, x1, y0, y1, constant, COMPLEX: tl.constexpr):
    """x y + constant."""
    x0, x1 = times(x0, x1, y0, y1, COMPLEX)
    return x0 + constant, x1


@triton.jit
def leading_half(x):
    """x cut to its 12 leading bits: the product of two such numbers is exact."""
    return (x.to(tl.int32, bitcast=True) & -4096).to(tl.float32, bitcast=True)


@triton.jit
def product_error(x, y, product):
    """x y - product, where product is x y rounded (Dekker, 1971): the digits of a large
    angle that float32 has no room for."""
    x_lead = leading_half(x)
    y_lead = leading_half(y)
    x_rest = x - x_lead
    y_rest = y - y_lead
    error = x_lead * y_lead - product
    return (error + x_lead * y_rest + x_rest * y_lead) + x_rest * y_rest


@triton.jit
def exponential(dt, A1, z0, z1, COMPLEX: tl.constexpr):
    """e^z, z = dt A. The angle is z1 and the rounding error of z1, which turns by a
    little more."""
    size = tl.exp(z0)
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
    """phi_1, phi_1', phi_1'', phi_2, phi_2' at z, as pairs, given e = e^z: by the series
    of phi_3 where |z| is below about 1, by recursion elsewhere, each where the other
    loses digits."""
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

    w0, w1 = reciprocal(tl.where(small, 1.0, z0), tl.where(small, 0.0, z1), COMPLEX)
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
def load_numbers(
    pointers, mask, COMPLEX: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """A tile as a pair of (ROWS, COLUMNS) tensors in float32; 0 where masked."""
    numbers = tl.load(pointers, mask=mask, other=0.0).to(tl.float32)
    if COMPLEX:
        return tl.split(tl.reshape(numbers, (ROWS, COLUMNS, 2)))
    else:
        return numbers, numbers


@triton.jit
def store_numbers(
    pointers,
    x0,
    x1,
    mask,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    numbers = x0
    if COMPLEX:
        numbers = tl.reshape(tl.join(x0, x1), (ROWS, 2 * COLUMNS))
    tl.store(pointers, numbers.to(pointers.dtype.element_ty), mask=mask)


@triton.jit
def first_row(t, start, channels, IN_T: tl.constexpr, IN_D: tl.constexpr):
    """Where a tile starts in an operand of (T or 1) x (D or 1) rows."""
    if IN_T and IN_D:
        return t * channels + start
    elif IN_T:
        return t
    elif IN_D:
        return start
    else:
        return start * 0


@triton.jit
def load_operand(
    pointer,
    t,
    start,
    channels,
    width,
    row,
    number,
    mask,
    IN_T: tl.constexpr,
    IN_D: tl.constexpr,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The tile's numbers of A or B."""
    local = (row if IN_D else row * 0) * width + number
    first = first_row(t, start, channels, IN_T, IN_D) * width
    return load_numbers(pointer + first + local, mask, COMPLEX, ROWS, COLUMNS)


@triton.jit
def load_steps(
    pointer,
    t,
    start,
    channels,
    row,
    rows_in,
    IN_T: tl.constexpr,
    IN_D: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The tile's dt, one a row, in every column."""
    first = first_row(t, start, channels, IN_T, IN_D)
    dt = tl.load(pointer + first + (row if IN_D else row * 0), mask=rows_in, other=0.0)
    return tl.broadcast_to(dt.to(tl.float32), (ROWS, COLUMNS))


@triton.jit
def place(
    channels,
    states,
    COMPLEX: tl.constexpr,
    SPAN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Which tile this program owns: its block of rows, of columns, its span of times;
    then numbers and masks within the tile. 64 bits, as offsets may pass 2^31."""
    down = (channels + ROWS - 1) // ROWS
    across = (states + COLUMNS - 1) // COLUMNS
    program = tl.program_id(0).to(tl.int64)
    block = program % down
    side = program // down % across
    span = program // down // across
    WIDTH: tl.constexpr = COLUMNS * 2 if COMPLEX else COLUMNS
    width = states * 2 if COMPLEX else states
    number = side * WIDTH + tl.arange(0, WIDTH)[None, :]
    row = tl.arange(0, ROWS)[:, None]
    rows_in = row < channels - block * ROWS
    return block, side, span, down, across, width, number, row, rows_in


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
    COMPLEX: tl.constexpr,
    A_IN_T: tl.constexpr,
    A_IN_D: tl.constexpr,
    B_IN_T: tl.constexpr,
    B_IN_D: tl.constexpr,
    DT_IN_T: tl.constexpr,
    DT_IN_D: tl.constexpr,
    SPAN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A_bar and B_bar, (T, D, N); for foh B_bar is (2, T, D, N)."""
    block, _side, span, _down, _across, width, number, row, rows_in = place(
        channels, states, COMPLEX, SPAN, ROWS, COLUMNS
    )
    tile_in = rows_in & (number < width)
    start = block * ROWS
    begin = span * SPAN
    A0, A1 = load_operand(
        A_ptr, begin, start, channels, width, row, number, tile_in,
        A_IN_T, A_IN_D, COMPLEX, ROWS, COLUMNS,
    )  # fmt: skip
    B0, B1 = load_operand(
        B_ptr, begin, start, channels, width, row, number, tile_in,
        B_IN_T, B_IN_D, COMPLEX, ROWS, COLUMNS,
    )  # fmt: skip
    dt = load_steps(
        dt_ptr, begin, start, channels, row, rows_in, DT_IN_T, DT_IN_D, ROWS, COLUMNS
    )
    for t in tl.range(begin, tl.minimum(begin + SPAN, length)):
        if A_IN_T:
            A0, A1 = load_operand(
                A_ptr, t, start, channels, width, row, number, tile_in,
                A_IN_T, A_IN_D, COMPLEX, ROWS, COLUMNS,
            )  # fmt: skip
        if B_IN_T:
            B0, B1 = load_operand(
                B_ptr, t, start, channels, width, row, number, tile_in,
                B_IN_T, B_IN_D, COMPLEX, ROWS, COLUMNS,
            )  # fmt: skip
        if DT_IN_T:
            dt = load_steps(
                dt_ptr,
                t,
                start,
                channels,
                row,
                rows_in,
                DT_IN_T,
                DT_IN_D,
                ROWS,
                COLUMNS,
            )
        z0 = dt * A0
        z1 = dt * A1
        v0 = z0
        v1 = z1
        if METHOD == "gbt":
            w0, w1 = reciprocal(1.0 - alpha * z0, -alpha * z1, COMPLEX)
            e0, e1 = times(
                1.0 + (1.0 - alpha) * z0, (1.0 - alpha) * z1, w0, w1, COMPLEX
            )  # eq. 5.7
        else:
            e0, e1 = exponential(dt, A1, z0, z1, COMPLEX)
            f0, f1, df0, df1, _ddf0, _ddf1, g0, g1, _dg0, _dg1 = phis(
                z0, z1, e0, e1, COMPLEX
            )
            w0 = f0  # eq. 5.8
            w1 = f1
            if METHOD == "foh":
                w0 = df0  # eq. 5.10: phi_1 - phi_2 is phi_1'
                w1 = df1
                v0 = g0
                v1 = g1

        here = (t * channels + start) * width + row * width + number
        store_numbers(A_bar_ptr + here, e0, e1, tile_in, COMPLEX, ROWS, COLUMNS)
        x0, x1 = times(dt * w0, dt * w1, B0, B1, COMPLEX)
        store_numbers(B_bar_ptr + here, x0, x1, tile_in, COMPLEX, ROWS, COLUMNS)
        if METHOD == "foh":
            after = (begin * 0 + length) * channels * width  # the second B_bar
            x0, x1 = times(dt * v0, dt * v1, B0, B1, COMPLEX)
            store_numbers(
                B_bar_ptr + after + here, x0, x1, tile_in, COMPLEX, ROWS, COLUMNS
            )


@triton.jit
def store_part(
    pointer,
    x0,
    x1,
    t,
    block,
    down,
    channels,
    width,
    number,
    row,
    rows_in,
    IN_D: tl.constexpr,
    COMPLEX: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A tile of a gradient, or its sum over the tile's rows, at (t, row or block)."""
    columns_in = number < width
    if IN_D:
        at = (t * channels + block * ROWS) * width + row * width + number
        store_numbers(
            pointer + at, x0, x1, rows_in & columns_in, COMPLEX, ROWS, COLUMNS
        )
    else:
        at = (t * down + block) * width + number
        x0 = tl.reduce(x0, 0, add)[None, :]
        x1 = tl.reduce(x1, 0, add)[None, :]
        store_numbers(pointer + at, x0, x1, columns_in, COMPLEX, 1, COLUMNS)


@triton.jit
def store_dt_part(
    pointer,
    x,
    t,
    block,
    side,
    down,
    across,
    channels,
    row,
    rows_in,
    IN_D: tl.constexpr,
    ROWS: tl.constexpr,
):
    """The tile's sum over its columns, and over its rows where dt does not vary along
    D."""
    x = tl.reduce(x, 1, add)
    if IN_D:
        at = (t * channels + block * ROWS + row) * across + side
        tl.store(pointer + at, x[:, None], mask=rows_in)
    else:
        at = (t * down + block) * across + side
        tl.store(pointer + at, tl.reduce(x, 0, add))


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
    COMPLEX: tl.constexpr,
    A_IN_T: tl.constexpr,
    A_IN_D: tl.constexpr,
    B_IN_T: tl.constexpr,
    B_IN_D: tl.constexpr,
    DT_IN_T: tl.constexpr,
    DT_IN_D: tl.constexpr,
    SPAN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Parts of the gradients, (T or spans, D or blocks, N); of dt's, with as many numbers
    in place of N as there are tiles across."""
    block, side, span, down, across, width, number, row, rows_in = place(
        channels, states, COMPLEX, SPAN, ROWS, COLUMNS
    )
    tile_in = rows_in & (number < width)
    start = block * ROWS
    begin = span * SPAN
    A0, A1 = load_operand(
        A_ptr, begin, start, channels, width, row, number, tile_in,
        A_IN_T, A_IN_D, COMPLEX, ROWS, COLUMNS,
    )  # fmt: skip
    B0, B1 = load_operand(
        B_ptr, begin, start, channels, width, row, number, tile_in,
        B_IN_T, B_IN_D, COMPLEX, ROWS, COLUMNS,
    )  # fmt: skip
    dt = load_steps(
        dt_ptr, begin, start, channels, row, rows_in, DT_IN_T, DT_IN_D, ROWS, COLUMNS
    )
    sum_A0 = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    sum_A1 = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    sum_B0 = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    sum_B1 = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    sum_dt = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    for t in tl.range(begin, tl.minimum(begin + SPAN, length)):
        if A_IN_T:
            A0, A1 = load_operand(
                A_ptr, t, start, channels, width, row, number, tile_in,
                A_IN_T, A_IN_D, COMPLEX, ROWS, COLUMNS,
            )  # fmt: skip
        if B_IN_T:
            B0, B1 = load_operand(
                B_ptr, t, start, channels, width, row, number, tile_in,
                B_IN_T, B_IN_D, COMPLEX, ROWS, COLUMNS,
            )  # fmt: skip
        if DT_IN_T:
            dt = load_steps(
                dt_ptr,
                t,
                start,
                channels,
                row,
                rows_in,
                DT_IN_T,
                DT_IN_D,
                ROWS,
                COLUMNS,
            )
        here = (t * channels + start) * width + row * width + number
        p0, p1 = load_numbers(grad_A_bar_ptr + here, tile_in, COMPLEX, ROWS, COLUMNS)
        q0, q1 = load_numbers(grad_B_bar_ptr + here, tile_in, COMPLEX, ROWS, COLUMNS)
        z0 = dt * A0
        z1 = dt * A1

        # Slope of A_bar, then weight and slope of B_bar.
        if METHOD == "gbt":
            w0, w1 = reciprocal(1.0 - alpha * z0, -alpha * z1, COMPLEX)
            e0, e1 = times(w0, w1, w0, w1, COMPLEX)
            s0 = alpha * e0
            s1 = alpha * e1
        else:
            e0, e1 = exponential(dt, A1, z0, z1, COMPLEX)
            f0, f1, df0, df1, ddf0, ddf1, g0, g1, dg0, dg1 = phis(
                z0, z1, e0, e1, COMPLEX
            )
            w0 = f0
            w1 = f1
            s0 = df0
            s1 = df1
            if METHOD == "foh":
                w0 = df0
                w1 = df1
                s0 = ddf0
                s1 = ddf1
        # With G the gradient to B_bar = dt w(z) B: conj(w) G is that to dt B, and
        # conj(s) G that to z, but for the factor dt conj(B).
        weighted0, weighted1 = times_conjugate(q0, q1, w0, w1, COMPLEX)
        sloped0, sloped1 = times_conjugate(q0, q1, s0, s1, COMPLEX)
        if METHOD == "foh":
            after = (begin * 0 + length) * channels * width  # the second B_bar
            q0, q1 = load_numbers(
                grad_B_bar_ptr + after + here, tile_in, COMPLEX, ROWS, COLUMNS
            )
            x0, x1 = times_conjugate(q0, q1, g0, g1, COMPLEX)
            weighted0 += x0
            weighted1 += x1
            x0, x1 = times_conjugate(q0, q1, dg0, dg1, COMPLEX)
            sloped0 += x0
            sloped1 += x1
        x0, x1 = times_conjugate(p0, p1, e0, e1, COMPLEX)
        y0, y1 = times_conjugate(sloped0, sloped1, B0, B1, COMPLEX)
        grad_z0 = x0 + dt * y0
        grad_z1 = x1 + dt * y1
        dt_from_z, _ = times_conjugate(grad_z0, grad_z1, A0, A1, COMPLEX)
        dt_from_B, _ = times_conjugate(weighted0, weighted1, B0, B1, COMPLEX)
        grad_dt = dt_from_z + dt_from_B  # eq. 5.14

        if A_IN_T:
            store_part(
                grad_A_ptr, dt * grad_z0, dt * grad_z1, t, block, down, channels,
                width, number, row, rows_in, A_IN_D, COMPLEX, ROWS, COLUMNS,
            )  # fmt: skip
        else:
            sum_A0 += dt * grad_z0
            sum_A1 += dt * grad_z1
        if B_IN_T:
            store_part(
                grad_B_ptr, dt * weighted0, dt * weighted1, t, block, down, channels,
                width, number, row, rows_in, B_IN_D, COMPLEX, ROWS, COLUMNS,
            )  # fmt: skip
        else:
            sum_B0 += dt * weighted0
            sum_B1 += dt * weighted1
        if DT_IN_T:
            store_dt_part(
                grad_dt_ptr, grad_dt, t, block, side, down, across, channels,
                row, rows_in, DT_IN_D, ROWS,
            )  # fmt: skip
        else:
            sum_dt += grad_dt
    if not A_IN_T:
        store_part(
            grad_A_ptr, sum_A0, sum_A1, span, block, down, channels,
            width, number, row, rows_in, A_IN_D, COMPLEX, ROWS, COLUMNS,
        )  # fmt: skip
    if not B_IN_T:
        store_part(
            grad_B_ptr, sum_B0, sum_B1, span, block, down, channels,
            width, number, row, rows_in, B_IN_D, COMPLEX, ROWS, COLUMNS,
        )  # fmt: skip
    if not DT_IN_T:
        store_dt_part(
            grad_dt_ptr, sum_dt, span, block, side, down, across, channels,
            row, rows_in, DT_IN_D, ROWS,
        )  # fmt: skip


def steps(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float
) -> tuple[Tensor, Tensor]:
    """A_bar and B_bar, (T, D, N); the arguments are those of the registered op."""
    shape = torch.broadcast_shapes(A.shape, dt.shape)
    A_bar = A.new_empty(shape)
    B_bar = A.new_empty(((2,) if method == "foh" else ()) + shape)
    tiling = _tiling(A, shape, FORWARD)
    with torch.cuda.device_of(A):
        forward_kernel[_grid(shape, tiling)](
            _numbers(A), _numbers(B), dt.contiguous(), _numbers(A_bar), _numbers(B_bar),
            alpha, *shape, **_variant(A, B, dt, method), **tiling,
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
    """Gradients to A, B and dt, summed over the axes where these do not vary."""
    shape = grad_A_bar.shape
    tiling = _tiling(A, shape, BACKWARD)
    spans, blocks, across = _blocks(shape, tiling)

    def parts(x: Tensor, last: int) -> Tensor:
        whole = x.shape[:2] == shape[:2] and x.shape[2] == last
        dtype = x.dtype if whole else torch.promote_types(x.dtype, torch.float32)
        times, rows = (
            size if varies else count
            for size, count, varies in zip(
                shape, (spans, blocks), _varies(x), strict=False
            )
        )
        return x.new_empty((times, rows, last), dtype=dtype)

    grad_A, grad_B, grad_dt = parts(A, shape[2]), parts(B, shape[2]), parts(dt, across)
    with torch.cuda.device_of(A):
        backward_kernel[_grid(shape, tiling)](
            _numbers(A), _numbers(B), dt.contiguous(),
            _numbers(grad_A_bar), _numbers(grad_B_bar),
            _numbers(grad_A), _numbers(grad_B), grad_dt,
            alpha, *shape, **_variant(A, B, dt, method), **tiling,
        )  # fmt: skip
    return (
        grad_A.sum_to_size(A.shape).to(A.dtype),
        grad_B.sum_to_size(B.shape).to(B.dtype),
        grad_dt.sum_to_size(dt.shape).to(dt.dtype),
    )


def _numbers(tensor: Tensor) -> Tensor:
    """The tensor as contiguous real numbers, a complex one with its two parts side by
    side."""
    tensor = tensor.resolve_conj().contiguous()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _varies(x: Tensor) -> tuple[bool, bool]:
    return x.shape[0] > 1, x.shape[1] > 1


def _variant(A: Tensor, B: Tensor, dt: Tensor, method: str) -> dict:
    names = ("A_IN_T", "A_IN_D", "B_IN_T", "B_IN_D", "DT_IN_T", "DT_IN_D")
    varies = (*_varies(A), *_varies(B), *_varies(dt))
    axes = dict(zip(names, varies, strict=True))
    return {"METHOD": method, "COMPLEX": A.is_complex(), **axes}


def _blocks(shape: torch.Size, tiling: dict) -> tuple[int, ...]:
    sizes = (tiling["SPAN"], tiling["ROWS"], tiling["COLUMNS"])
    return tuple(triton.cdiv(x, size) for x, size in zip(shape, sizes, strict=True))


def _grid(shape: torch.Size, tiling: dict) -> tuple[int]:
    spans, blocks, across = _blocks(shape, tiling)
    return (spans * blocks * across,)


# Tiles that won on an H100. The backward pass sums over rows at every time: within a warp
# that is a few shuffles, between warps a wait of all for all.
FORWARD = {"numbers": 512, "programs": 2**14, "longest_span": 16, "warps": 2}
BACKWARD = {"numbers": 256, "programs": 2**12, "longest_span": 64, "warps": 1}


def _tiling(A: Tensor, shape: torch.Size, form: dict[str, int]) -> dict:
    """The tile of a program: so many real numbers, over as long a span of times as leaves
    so many programs."""
    if not A.is_cuda:  # small, as Triton's interpreter visits the elements one by one
        return {"SPAN": 2, "ROWS": 4, "COLUMNS": 2, "num_warps": 4}
    length, channels, states = shape
    columns = min(triton.next_power_of_2(states), 64)
    rows = form["numbers"] // columns // (2 if A.is_complex() else 1)
    rows = min(rows, triton.next_power_of_2(channels))
    tiles = triton.cdiv(channels, rows) * triton.cdiv(states, columns)
    span = triton.next_power_of_2(length * tiles // form["programs"] + 1)
    return {
        "SPAN": min(span, form["longest_span"]),
        "ROWS": rows,
        "COLUMNS": columns,
        "num_warps": form["warps"],
    }
