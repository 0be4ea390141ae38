"""S4's generating function as Triton kernels: four Cauchy products for each frequency, and
what they make together, forward and backward.

At the frequency phi = pi k / L, with G = 2 sin(phi) / dt,

    k_m = sum over n of v_mn / (i G - cos(phi) lambda_n) + the same of the conjugates
    spectrum = e^{i phi} (k_0 - cos(phi) k_1 k_2 / (1 + cos(phi) k_3))

Tiling. One program owns BLOCK frequencies of one channel, some to each lane, and walks over
modes, whose numbers all lanes read; the k_m stay in registers. Backward walks twice: once
for the k_m, which are not kept, once for the gradients of each mode, which are sums over
frequencies: the program's part goes to memory, and PyTorch adds the parts.

             BLOCK frequencies                BLOCK frequencies
           +-------------------+            +-------------------+
    modes  |  v / (iG - cos l) |   ->  k_m  |     spectrum      |
      v    +-------------------+            +-------------------+

Where G is close to a mode's frequency their difference decides: it is formed in float64,
one subtraction for each mode and frequency. All else is float32.

Bytes. 4 D L for the spectrum and next to nothing for the system: (D, N, L), which a plain
expression writes and reads several times, is never made. Backward reads as much and writes
40 bytes a mode for every BLOCK frequencies. Of operations there are some 40 for a mode and
a frequency, two of them reciprocals, and backward some 110.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import laid_out, times, times_conjugate
from seqlab.ops.dplr.portable import angles
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div

# The fastest on an H200 of those that benchmarks/kernel_tilings.py tries.
FORWARD = {"BLOCK": 128, "num_warps": 1}
BACKWARD = {"BLOCK": 256, "num_warps": 1}
INTERPRETED = {"BLOCK": 4}

FORM: tl.constexpr = tl.constexpr(4)
"""Cauchy products."""


@triton.jit
def load_frequencies(angles_ptr, dt_ptr, frequencies, channels, BLOCK: tl.constexpr):
    """This program's channel and frequencies, which of these exist, and there G in float64
    and cos and sin in float32."""
    channel = (tl.program_id(0) % channels).to(tl.int64)
    k = tl.program_id(0) // channels * BLOCK + tl.arange(0, BLOCK)
    exists = k < frequencies
    cos = tl.load(angles_ptr + k, mask=exists, other=1.0)
    sin = tl.load(angles_ptr + frequencies + k, mask=exists, other=0.0)
    G = 2.0 / tl.load(dt_ptr + channel).to(tl.float64) * sin
    return channel, k, exists, G, cos


@triton.jit
def reciprocals(Lambda_ptr, place, G, cos):
    """1 / (i G - cos lambda), and of the conjugate, as pairs."""
    damping = -cos.to(tl.float32) * tl.load(Lambda_ptr + 2 * place)
    turn = cos * tl.load(Lambda_ptr + 2 * place + 1).to(tl.float64)
    y = (G - turn).to(tl.float32)
    z = (G + turn).to(tl.float32)
    of_y = 1.0 / (damping * damping + y * y)
    of_z = 1.0 / (damping * damping + z * z)
    return damping * of_y, -y * of_y, damping * of_z, -z * of_z


@triton.jit
def cauchy_products(
    Lambda_ptr, v_ptr, channel, channels, states, G, cos, BLOCK: tl.constexpr
):
    """The four sums over modes, a tuple of eight: real part, imaginary part, ..."""
    k = ()
    for _ in tl.static_range(2 * FORM):
        k = k + (tl.zeros((BLOCK,), tl.float32),)
    for n in range(states):
        place = channel * states + n
        p0, p1, q0, q1 = reciprocals(Lambda_ptr, place, G, cos)
        sums = ()
        for m in tl.static_range(FORM):
            v = v_ptr + 2 * (m * channels * states + place)
            re = tl.load(v)
            im = tl.load(v + 1)
            sums = sums + (k[2 * m] + re * (p0 + q0) - im * (p1 - q1),)
            sums = sums + (k[2 * m + 1] + re * (p1 + q1) + im * (p0 - q0),)
        k = sums
    return k


@triton.jit
def quotient(x0, x1, y0, y1):
    """x / y."""
    scale = 1.0 / (y0 * y0 + y1 * y1)
    z0, z1 = times_conjugate(x0, x1, y0, y1, True)
    return z0 * scale, z1 * scale


@triton.jit(do_not_specialize=["frequencies", "channels"])
def forward_kernel(
    Lambda_ptr, v_ptr, dt_ptr, angles_ptr, spectrum_ptr,
    channels, states, frequencies,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The spectrum (D, F) from eigenvalues (D, N), weights (4, D, N), dt (D,) and cos and
    sin (2, F)."""
    channel, k, exists, G, cos = load_frequencies(
        angles_ptr, dt_ptr, frequencies, channels, BLOCK
    )
    sums = cauchy_products(Lambda_ptr, v_ptr, channel, channels, states, G, cos, BLOCK)
    c = cos.to(tl.float32)
    sin = tl.load(angles_ptr + frequencies + k, mask=exists, other=0.0).to(tl.float32)
    x0, x1 = times(sums[2], sums[3], sums[4], sums[5], True)
    x0, x1 = quotient(x0, x1, 1.0 + c * sums[6], c * sums[7])
    x0, x1 = times(sums[0] - c * x0, sums[1] - c * x1, c, sin, True)
    place = spectrum_ptr + 2 * (channel * frequencies + k)
    tl.store(place, x0, mask=exists)
    tl.store(place + 1, x1, mask=exists)


@triton.jit(do_not_specialize=["frequencies", "channels"])
def backward_kernel(
    Lambda_ptr, v_ptr, dt_ptr, angles_ptr, grad_ptr, parts_ptr, dt_parts_ptr,
    channels, states, frequencies,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Parts of the gradients, over the program's frequencies: (blocks, 10, D, N), the
    weights' eight numbers and then the eigenvalue's two, and (blocks, D) of G's."""
    channel, k, exists, G, cos = load_frequencies(
        angles_ptr, dt_ptr, frequencies, channels, BLOCK
    )
    sums = cauchy_products(Lambda_ptr, v_ptr, channel, channels, states, G, cos, BLOCK)
    c = cos.to(tl.float32)
    sin = tl.load(angles_ptr + frequencies + k, mask=exists, other=0.0).to(tl.float32)
    place = grad_ptr + 2 * (channel * frequencies + k)
    g0 = tl.load(place, mask=exists, other=0.0)
    g1 = tl.load(place + 1, mask=exists, other=0.0)
    # Conjugated gradients of the k_m: that of the spectrum times its slope in k_m.
    g0, g1 = times(g0, -g1, c, sin, True)
    r0, r1 = quotient(c, 0.0 * c, 1.0 + c * sums[6], c * sums[7])
    a0, a1 = times(r0, r1, sums[4], sums[5], True)
    a0, a1 = times(g0, g1, a0, a1, True)
    b0, b1 = times(r0, r1, sums[2], sums[3], True)
    d0, d1 = times(a0, a1, b0, b1, True)
    b0, b1 = times(g0, g1, b0, b1, True)
    of_k = (g0, g1, -a0, -a1, -b0, -b1, d0, d1)
    of_G = tl.zeros((BLOCK,), tl.float32)
    count = channels.to(tl.int64) * states
    block = (tl.program_id(0) // channels).to(tl.int64)
    for n in range(states):
        mode = channel * states + n
        part = parts_ptr + block * 10 * count + mode
        p0, p1, q0, q1 = reciprocals(Lambda_ptr, mode, G, cos)
        s0 = tl.zeros((BLOCK,), tl.float32)
        s1 = s0
        t0 = s0
        t1 = s0
        for m in tl.static_range(FORM):
            h0 = of_k[2 * m]
            h1 = of_k[2 * m + 1]
            of_re = h0 * (p0 + q0) - h1 * (p1 + q1)
            of_im = -(h0 * (p1 - q1) + h1 * (p0 - q0))
            tl.store(part + 2 * m * count, tl.sum(of_re, 0))
            tl.store(part + (2 * m + 1) * count, tl.sum(of_im, 0))
            v = v_ptr + 2 * (m * count + mode)
            re = tl.load(v)
            im = tl.load(v + 1)
            s0 += h0 * re - h1 * im
            s1 += h0 * im + h1 * re
            t0 += h0 * re + h1 * im
            t1 += h1 * re - h0 * im
        # Of 1 / w the slope is -1 / w^2.
        p0, p1 = times(p0, p1, p0, p1, True)
        q0, q1 = times(q0, q1, q0, q1, True)
        s0, s1 = times(s0, s1, p0, p1, True)
        t0, t1 = times(t0, t1, q0, q1, True)
        of_G += s1 + t1
        tl.store(part + 8 * count, tl.sum(c * (s0 + t0), 0))
        tl.store(part + 9 * count, tl.sum(c * (t1 - s1), 0))
    of_dt = tl.sum(of_G * G.to(tl.float32), 0)
    tl.store(dt_parts_ptr + block * channels + channel, of_dt)


def spectrum(Lambda: Tensor, weights: Tensor, dt: Tensor, length: int) -> Tensor:
    """The transform of K, (D, L // 2 + 1); the arguments are those of the portable form."""
    channels, states = Lambda.shape
    tiling = FORWARD if Lambda.is_cuda else INTERPRETED
    table = angles(length, Lambda.device)
    result = Lambda.new_empty((channels, table.shape[1]))
    blocks = ceil_div(table.shape[1], tiling["BLOCK"])
    runner(forward_kernel, Lambda)[(channels * blocks,)](
        laid_out(Lambda), laid_out(weights), laid_out(dt), table,
        result, channels, states, table.shape[1], **tiling,
    )  # fmt: skip
    return result


def gradients(
    Lambda: Tensor, weights: Tensor, dt: Tensor, length: int, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to the eigenvalues, the weights and dt."""
    channels, states = Lambda.shape
    tiling = BACKWARD if Lambda.is_cuda else INTERPRETED
    table = angles(length, Lambda.device)
    blocks = ceil_div(table.shape[1], tiling["BLOCK"])
    parts = dt.new_empty((blocks, 10, channels, states))
    dt_parts = dt.new_empty((blocks, channels))
    runner(backward_kernel, Lambda)[(channels * blocks,)](
        laid_out(Lambda), laid_out(weights), laid_out(dt), table,
        laid_out(grad), parts, dt_parts,
        channels, states, table.shape[1], **tiling,
    )  # fmt: skip
    sums = parts.sum(0)
    grad_Lambda = torch.complex(sums[8], sums[9])
    return grad_Lambda, torch.complex(sums[0:8:2], sums[1:8:2]), -dt_parts.sum(0) / dt
