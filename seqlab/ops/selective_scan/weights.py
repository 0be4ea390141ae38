"""B and C as the kernels for a real A read them: in float32, with rows of zeros behind the
last ones of every batch entry, so that neither a mask nor a conversion is in a loop. They
are written once, forward, behind the states that are kept for the backward pass."""

import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.selective_scan.plan import Plan
from seqlab.ops.selective_scan.steps import MARGIN
from seqlab.ops.sizes import ceil_div


@triton.jit
def weights_in(
    kept_ptr, batch, length, width,
    MODES: tl.constexpr, WINDOW: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Where B and C begin, (B, L + MARGIN, N) each, in what is kept (``plan.kept_shape``)."""
    windows = tl.cdiv(length, WINDOW).to(tl.int64)
    b_ptr = kept_ptr + windows * batch * (STATES * width)
    return b_ptr, b_ptr + batch.to(tl.int64) * (length + MARGIN) * MODES


@triton.jit(do_not_specialize=["batch", "length"])
def weights_kernel(
    b_ptr, c_ptr, kept_ptr, batch, length, width,
    MODES: tl.constexpr, WINDOW: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program writes BLOCK numbers of a batch entry's B, and as many of its C."""
    given = length.to(tl.int64) * MODES
    whole = given + MARGIN * MODES
    blocks = tl.cdiv(whole, BLOCK)
    entry = tl.program_id(0) // blocks
    place = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    to_b, to_c = weights_in(kept_ptr, batch, length, width, MODES, WINDOW, STATES)
    b = tl.load(b_ptr + entry * given + place, mask=place < given, other=0.0)
    c = tl.load(c_ptr + entry * given + place, mask=place < given, other=0.0)
    tl.store(to_b + entry * whole + place, b.to(tl.float32), mask=place < whole)
    tl.store(to_c + entry * whole + place, c.to(tl.float32), mask=place < whole)


def keep_weights(B: Tensor, C: Tensor, kept: Tensor, plan: Plan) -> None:
    """Writes B and C to their place in what is kept."""
    batch, length, width, *_, modes = plan.sizes
    BLOCK = 1024 if kept.is_cuda else 16
    blocks = ceil_div((length + MARGIN.value) * modes, BLOCK)
    runner(weights_kernel, kept)[(batch * blocks,)](
        laid_out(B), laid_out(C), kept, batch, length, width,
        modes, plan.window, plan.writing["STATES"], BLOCK, num_warps=4,
    )  # fmt: skip
