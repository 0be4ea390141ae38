"""sLSTM as Triton kernels, sequential in time: a program for every head and BLOCK_B entries
of the batch walks over all steps, and no program waits for another.

                |<- features ->|
     entries    | c, n, m, h   |    h R[g]^T for four gates: products of matrices, of which
     (BLOCK_B)  |              |    the right one is the same at every step

R is kept on the chip where its four matrices fit into shared memory, and read at every
step where not, from the L2 cache, which it does not leave.

What the next step needs is on its way while one is taken: where there is room, into shared
memory (``num_stages`` of the loop), from where threads take it as the products' results
lie, else into registers, and then each tile is laid out anew, which all warps wait for.

Backward walks from late to early, from the pre-activations of all steps, which are one
product of matrices before it, and c, n and m before every step. It leaves the gradients
of the pre-activations in their place; that of R is one product after it.

Bytes. With e bytes a number and E = B L H D, forward 5 e E and 12 E for c, n and m;
backward reads and writes 4 E numbers of float32, and reads those 12 E and the gradient.
What it takes is time: L steps, each a product, a dozen exponentials, and a store that the
next step does not wait for.
"""

from functools import cache, lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.gates import at_least, larger, log_sigmoid, tanh
from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div, power_of_two
from seqlab.ops.xlstm.slstm import portable

SIZES = ["batch", "length", "heads"]
ENTRIES = 16, 2  # of the batch in a program: compiled, interpreted
BESIDE, WITHOUT_TENSOR_CORES = 8, 40
"""Bytes of shared memory for each number of a tile that a program needs beside R, the second
where products are no tensor cores' work."""
AHEAD = 3
"""Stages of a loop that loads ahead: of two, a load begins where the step before it ends, and
is waited for at once."""
LEAST_ROOM, INTERPRETED_ROOM = 64 * 1024, 320
"""Bytes of shared memory that every GPU has, and that the interpreter is given."""
LOWEST = tl.constexpr(portable.LOWEST)
LEAST = tl.constexpr(1e-30)  # of what gradients are divided by


@triton.jit
def tile_of(batch, heads, width, BLOCK_B: tl.constexpr, BLOCK_D: tl.constexpr):
    """This program's head, its entries (BLOCK_B, 1) and features (BLOCK_D,), and which of
    (BLOCK_B, BLOCK_D) exist."""
    tiles = tl.cdiv(batch, BLOCK_B)
    entry = (tl.program_id(0) % tiles).to(tl.int64) * BLOCK_B
    entry += tl.arange(0, BLOCK_B)[:, None]
    head, d = tl.program_id(0) // tiles, tl.arange(0, BLOCK_D)
    return head, entry, d, (entry < batch) & (d < width)[None, :]


@triton.jit
def load_matrix(
    R_ptr, gate: tl.constexpr, head, heads, width, inner, outer,
    TRANSPOSED: tl.constexpr,
):  # fmt: skip
    """R[gate, head], or its transpose, of these rows and columns."""
    row, column = inner[:, None], outer[None, :]
    exists = (row < width) & (column < width)
    own = R_ptr + (gate * heads + head).to(tl.int64) * width * width
    place = column * width + row if TRANSPOSED else row * width + column
    return tl.load(own + place, mask=exists, other=0.0)


@triton.jit
def mix(
    x, R, R_ptr, gate: tl.constexpr, head, heads, width,
    TRANSPOSED: tl.constexpr, BLOCK_D: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """x R[gate, head], or its transpose, with the matrix that is kept or, if that is None,
    half of its columns after half, every other one."""
    if R is not None:
        return product(x, R, PRECISION)
    else:
        inner, half = tl.arange(0, BLOCK_D), 2 * tl.arange(0, BLOCK_D // 2)
        columns = load_matrix(R_ptr, gate, head, heads, width, inner, half, TRANSPOSED)
        even = product(x, columns, PRECISION)
        columns = load_matrix(
            R_ptr, gate, head, heads, width, inner, half + 1, TRANSPOSED
        )
        odd = product(x, columns, PRECISION)
        return tl.reshape(tl.join(even, odd), x.shape)


@triton.jit
def load_state(pointer, place, alive, default: tl.constexpr):
    """Of the state that is handed in; the default if there is none."""
    if pointer is None:
        return tl.full(place.shape, default, tl.float32)
    else:
        return tl.load(pointer + place, mask=alive, other=default)


@triton.jit
def load_gates(x, features, alive):
    """The four pre-activations of one step, of which ``x`` points at the first."""
    i = tl.load(x, mask=alive, other=0.0).to(tl.float32)
    f = tl.load(x + features, mask=alive, other=0.0).to(tl.float32)
    z = tl.load(x + 2 * features, mask=alive, other=0.0).to(tl.float32)
    o = tl.load(x + 3 * features, mask=alive, other=0.0).to(tl.float32)
    return i, f, z, o


@triton.jit
def load_step(x, before_ptr, grad_y_ptr, place, features, count, alive):
    """The pre-activations of one step, c, n and m before it, and its gradient."""
    i, f, z, o = load_gates(x, features, alive)
    c = tl.load(before_ptr + place, mask=alive, other=0.0)
    n = tl.load(before_ptr + count + place, mask=alive, other=0.0)
    m = tl.load(before_ptr + 2 * count + place, mask=alive, other=0.0)
    dy = tl.load(grad_y_ptr + place, mask=alive, other=0.0).to(tl.float32)
    return i, f, z, o, c, n, m, dy


@triton.jit
def product(x, R, PRECISION: tl.constexpr):
    """In float32, x rounded as R is."""
    return tl.dot(x.to(R.dtype), R, input_precision=PRECISION)


@triton.jit
def in_range(dx_i, dx_f, dx_z, dx_o, dtype: tl.constexpr):
    """Gradients as products take them, and what their results are to be multiplied by:
    float16 has too few exponents, so there an entry's are divided by the largest."""
    if dtype == tl.float16:
        size = tl.maximum(
            tl.maximum(tl.abs(dx_i), tl.abs(dx_f)),
            tl.maximum(tl.abs(dx_z), tl.abs(dx_o)),
        )
        size = tl.maximum(tl.max(size, 1, keep_dims=True), LEAST)
        return dx_i / size, dx_f / size, dx_z / size, dx_o / size, size
    else:
        return dx_i, dx_f, dx_z, dx_o, 1.0


@triton.jit
def take(i, f, z, o, c, n, before, EXPONENTIAL: tl.constexpr):
    """The gates from their pre-activations, and the state after the step."""
    log_f = f if EXPONENTIAL else log_sigmoid(f)
    past = log_f + before
    m = at_least(larger(past, i), LOWEST)
    # What rounding makes of a maximum, the decay makes up for.
    decay, weight = tl.exp((before - m) + log_f), tl.exp(i - m)
    z, o = tanh(z), tl.sigmoid(o)
    c = decay * c + weight * z
    n = decay * n + weight
    inverse = 1.0 / tl.where(n == 0.0, 1.0, n)
    return past, decay, weight, z, o, c, n, m, inverse


@triton.jit(do_not_specialize=SIZES)
def forward_kernel(
    gates_ptr, R_ptr, b_ptr, c_ptr, n_ptr, m_ptr, h_ptr,
    y_ptr, last_c_ptr, last_n_ptr, last_m_ptr, last_h_ptr, before_ptr,
    batch, length, heads, width,
    EXPONENTIAL: tl.constexpr, KEPT: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_D: tl.constexpr, PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """The last state goes to ``last_c_ptr`` to ``last_h_ptr``, (B, H, D) each, and c, n and
    m before every step to ``before_ptr``, (3, B, L, H, D)."""
    head, entry, d, alive = tile_of(batch, heads, width, BLOCK_B, BLOCK_D)
    states = (entry * heads + head) * width + d[None, :]
    c = load_state(c_ptr, states, alive, 0.0)
    n = load_state(n_ptr, states, alive, 0.0)
    m = at_least(load_state(m_ptr, states, alive, LOWEST), LOWEST)
    h = load_state(h_ptr, states, alive, 0.0)
    row, features = d[None, :], heads * width
    R_i, R_f, R_z, R_o = None, None, None, None
    if KEPT:
        R_i = load_matrix(R_ptr, 0, head, heads, width, d, d, True)
        R_f = load_matrix(R_ptr, 1, head, heads, width, d, d, True)
        R_z = load_matrix(R_ptr, 2, head, heads, width, d, d, True)
        R_o = load_matrix(R_ptr, 3, head, heads, width, d, d, True)
    b_i, b_f = tl.zeros((1, BLOCK_D), tl.float32), tl.zeros((1, BLOCK_D), tl.float32)
    b_z, b_o = b_i, b_f
    if b_ptr is not None:
        here = b_ptr + head * width + row
        b_i = tl.load(here, mask=row < width, other=0.0).to(tl.float32)
        b_f = tl.load(here + features, mask=row < width, other=0.0).to(tl.float32)
        b_z = tl.load(here + 2 * features, mask=row < width, other=0.0).to(tl.float32)
        b_o = tl.load(here + 3 * features, mask=row < width, other=0.0).to(tl.float32)
    count = batch.to(tl.int64) * length * features
    x = gates_ptr + entry * length * 4 * features + head * width + row
    if STAGES == 1:
        ahead = load_gates(x, features, alive)
    for t in tl.range(0, length, num_stages=STAGES):
        token = entry * length + t
        place = token * features + head * width + row
        if STAGES == 1:
            i, f, z, o = ahead
            further = alive & (t + 1 < length)
            ahead = load_gates(x + 4 * features, features, further)
        else:
            i, f, z, o = load_gates(x, features, alive)
        i, f, z, o = i + b_i, f + b_f, z + b_z, o + b_o
        x += 4 * features
        tl.store(before_ptr + place, c, mask=alive)
        tl.store(before_ptr + count + place, n, mask=alive)
        tl.store(before_ptr + 2 * count + place, m, mask=alive)
        i += mix(h, R_i, R_ptr, 0, head, heads, width, True, BLOCK_D, PRECISION)
        f += mix(h, R_f, R_ptr, 1, head, heads, width, True, BLOCK_D, PRECISION)
        z += mix(h, R_z, R_ptr, 2, head, heads, width, True, BLOCK_D, PRECISION)
        o += mix(h, R_o, R_ptr, 3, head, heads, width, True, BLOCK_D, PRECISION)
        _, _, _, _, o, c, n, m, inverse = take(i, f, z, o, c, n, m, EXPONENTIAL)
        # What goes back in is what came out.
        y = (o * c * inverse).to(y_ptr.dtype.element_ty)
        tl.store(y_ptr + place, y, mask=alive)
        h = y.to(tl.float32)
    tl.store(last_c_ptr + states, c, mask=alive)
    tl.store(last_n_ptr + states, n, mask=alive)
    tl.store(last_m_ptr + states, m, mask=alive)
    tl.store(last_h_ptr + states, h, mask=alive)


@triton.jit(do_not_specialize=SIZES)
def backward_kernel(
    x_ptr, R_ptr, before_ptr, grad_y_ptr, grad_c_ptr, grad_n_ptr, grad_m_ptr, grad_h_ptr,
    first_c_ptr, first_n_ptr, first_m_ptr, first_h_ptr,
    batch, length, heads, width,
    EXPONENTIAL: tl.constexpr, KEPT: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_D: tl.constexpr, PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Pre-activations in ``x_ptr`` (B, L, 4, H, D) become their gradients; those of the
    first state, (B, H, D) each, go to ``first_c_ptr`` and so on, if these are not None."""
    head, entry, d, alive = tile_of(batch, heads, width, BLOCK_B, BLOCK_D)
    states = (entry * heads + head) * width + d[None, :]
    dc = load_state(grad_c_ptr, states, alive, 0.0)
    dn = load_state(grad_n_ptr, states, alive, 0.0)
    dm = load_state(grad_m_ptr, states, alive, 0.0)
    dh = load_state(grad_h_ptr, states, alive, 0.0)
    column, features = d[None, :], heads * width
    R_i, R_f, R_z, R_o = None, None, None, None
    if KEPT:
        R_i = load_matrix(R_ptr, 0, head, heads, width, d, d, False)
        R_f = load_matrix(R_ptr, 1, head, heads, width, d, d, False)
        R_z = load_matrix(R_ptr, 2, head, heads, width, d, d, False)
        R_o = load_matrix(R_ptr, 3, head, heads, width, d, d, False)
    count = batch.to(tl.int64) * length * features
    c, n = tl.zeros_like(dc), tl.zeros_like(dc)
    token = entry * length + (length - 1)
    place = token * features + head * width + column
    x = x_ptr + token * 4 * features + head * width + column
    if STAGES == 1:
        ahead = load_step(x, before_ptr, grad_y_ptr, place, features, count, alive)
    for back in tl.range(0, length, num_stages=STAGES):
        if STAGES == 1:
            i, f, z, o, c, n, m, dy = ahead
            further = alive & (back + 1 < length)
            ahead = load_step(
                x - 4 * features, before_ptr, grad_y_ptr, place - features,
                features, count, further,
            )  # fmt: skip
        else:
            i, f, z, o, c, n, m, dy = load_step(
                x, before_ptr, grad_y_ptr, place, features, count, alive
            )
        dh += dy
        past, decay, weight, z, gate, c_t, _, _, inverse = take(
            i, f, z, o, c, n, m, EXPONENTIAL
        )
        average = c_t * inverse
        dc += dh * gate * inverse
        dn -= dh * gate * average * inverse
        is_past = past >= i
        dx_i = weight * (dc * z + dn) + tl.where(is_past, 0.0, dm)
        dm = tl.where(is_past, dm, 0.0)
        dx_f = decay * (dc * c + dn * n) + dm
        if not EXPONENTIAL:
            dx_f *= tl.sigmoid(-f)
        dx_z = weight * dc * (1.0 - z * z)
        dx_o = dh * average * gate * tl.sigmoid(-o)
        tl.store(x, dx_i, mask=alive)
        tl.store(x + features, dx_f, mask=alive)
        tl.store(x + 2 * features, dx_z, mask=alive)
        tl.store(x + 3 * features, dx_o, mask=alive)
        dx_i, dx_f, dx_z, dx_o, size = in_range(
            dx_i, dx_f, dx_z, dx_o, R_ptr.dtype.element_ty
        )
        dh = mix(dx_i, R_i, R_ptr, 0, head, heads, width, False, BLOCK_D, PRECISION)
        dh += mix(dx_f, R_f, R_ptr, 1, head, heads, width, False, BLOCK_D, PRECISION)
        dh += mix(dx_z, R_z, R_ptr, 2, head, heads, width, False, BLOCK_D, PRECISION)
        dh += mix(dx_o, R_o, R_ptr, 3, head, heads, width, False, BLOCK_D, PRECISION)
        dh *= size
        dc *= decay
        dn *= decay
        x -= 4 * features
        place -= features
    if first_c_ptr is not None:
        tl.store(first_c_ptr + states, dc, mask=alive)
        tl.store(first_n_ptr + states, dn, mask=alive)
        tl.store(first_m_ptr + states, dm + dc * c + dn * n, mask=alive)
        tl.store(first_h_ptr + states, dh, mask=alive)


def scan(
    gates: Tensor,
    R: Tensor,
    b: Tensor | None,
    state: portable.State | None,
    forget: str,
) -> tuple[Tensor, portable.State, Tensor]:
    """As of the portable form."""
    gates, R = laid_out(gates), laid_out(R)
    given = (b, *(state or (None,) * 4))
    given = tuple(None if x is None else laid_out(x) for x in given)
    batch, length, _, heads, width = gates.shape
    y = gates.new_empty((batch, length, heads, width))
    shape = batch, heads, width
    c, n, m, h = (gates.new_empty(shape, dtype=torch.float32) for _ in "cnmh")
    before = gates.new_empty((3, batch, length, heads, width), dtype=torch.float32)
    grid, constants, options = plan(gates, R, False)
    runner(forward_kernel, gates)[grid](
        gates, R, *given, y, c, n, m, h, before,
        batch, length, heads, width, forget == "exp", *constants, **options,
    )  # fmt: skip
    return y, (c, n, m, h), before


def walk_back(
    x: Tensor,
    R: Tensor,
    before: Tensor,
    last: tuple[Tensor, Tensor],
    forget: str,
    grad_h: Tensor,
    grads: tuple[Tensor | None, ...],
    of_state: bool,
) -> tuple[Tensor, portable.State | None]:
    """As of the portable form; ``x`` itself becomes its gradient."""
    x, R, before, grad_h = map(laid_out, (x, R, before, grad_h))
    grad_c, grad_n, _, grad_last = grads
    given = grad_c, grad_n, portable.grad_of_m(last, grads), grad_last
    given = tuple(None if g is None else laid_out(g) for g in given)
    batch, length, _, heads, width = x.shape
    first = None
    if of_state:
        dc, dn, dm, dh = (x.new_empty((batch, heads, width)) for _ in "cnmh")
        first = dc, dn, dm, dh
    grid, constants, options = plan(grad_h, R, True)
    runner(backward_kernel, x)[grid](
        x, R, before, grad_h, *given, *(first or (None,) * 4),
        batch, length, heads, width, forget == "exp", *constants, **options,
    )  # fmt: skip
    return x, first


def plan(
    like: Tensor, R: Tensor, backward: bool
) -> tuple[tuple[int], tuple[bool | int | str, ...], dict[str, int]]:
    """Grid, (KEPT, BLOCK_B, BLOCK_D, PRECISION, STAGES) and options of the launch."""
    _, heads, width, _ = R.shape
    room = room_of(R.device.index) if like.is_cuda else INTERPRETED_ROOM
    return plan_launch(len(like), heads, width, R.dtype, room, backward, like.is_cuda)


@lru_cache(maxsize=1024)
def plan_launch(
    batch: int,
    heads: int,
    width: int,
    dtype: torch.dtype,
    room: int,
    backward: bool,
    compiled: bool,
) -> tuple[tuple[int], tuple[bool | int | str, ...], dict[str, int]]:
    """The launch for a chip on which a program has so much room."""
    BLOCK_B = ENTRIES[0] if compiled else ENTRIES[1]
    BLOCK_D = max(16 if compiled else 2, power_of_two(width))
    full = dtype == torch.float32
    precision = "tf32x3" if full else "tf32"
    # Of float32 in two parts each.
    matrices = 4 * BLOCK_D * BLOCK_D * dtype.itemsize * (2 if full else 1)
    tile = BLOCK_B * BLOCK_D
    kept = matrices + WITHOUT_TENSOR_CORES * tile <= room
    # Pre-activations, c, n and m are float32 backward, the gradient is as h.
    a_step = 28 + dtype.itemsize if backward else 4 * dtype.itemsize
    needed = matrices + (BESIDE + (AHEAD - 1) * a_step) * tile
    stages = AHEAD if kept and needed <= room else 1
    grid = (ceil_div(batch, BLOCK_B) * heads,)
    options = {"num_warps": 8 if BLOCK_D >= 64 else 4}
    return grid, (kept, BLOCK_B, BLOCK_D, precision, stages), options


@cache
def room_of(device: int | None) -> int:
    """Bytes of shared memory that a program may have."""
    if device is None or not torch.cuda.is_available():
        return LEAST_ROOM
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin
