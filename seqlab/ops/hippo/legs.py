"""LegS on its kernels: the three launches of a pass, and the chunk transitions that are
kept for later calls."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from triton import JITFunction

from seqlab.ops.device.pairs import laid_out
from seqlab.ops.discretize.reference import ALPHAS
from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.hippo.kernel import adjoint_kernel, carry_kernel, recurrence_kernel
from seqlab.ops.hippo.plan import (
    BLOCK,
    GROUP,
    MOST_WEIGHTS,
    Plan,
    page,
    plan,
)
from seqlab.ops.interpreter import runner
from seqlab.ops.kept import keep
from seqlab.ops.sizes import ceil_div, power_of_two


def project(
    f: Tensor,
    state: Tensor | None,
    order: int,
    method: str,
    start: int,
    return_all: bool,
) -> tuple[Tensor, Tensor]:
    """c (B, L, D, N), or (B, D, N) if not ``return_all``, and the last state (B, D, N);
    the arguments are those of the op, already checked."""
    batch, length, channels = f.shape
    if not return_all and start == 0:
        weights = _weights(order, length, method, f)
        if weights is not None:
            x = f.transpose(1, 2).to(weights.dtype).reshape(-1, length)
            last = matmul(x, weights.mT).view(batch, channels, order)
            return last.to(f.dtype, copy=True), last
    f = laid_out(f)
    state = None if state is None else laid_out(state)
    last = f.new_empty((batch, channels, order), dtype=torch.float32)
    c = f.new_empty((batch, length, channels, order)) if return_all else None

    def tensors(between: Tensor | None, summary: bool) -> Sequence[Tensor | None]:
        return f, state, between, *((None, None) if summary else (c, last))

    sizes = (length, channels, order, batch * channels)
    _pass(recurrence_kernel, tensors, last, sizes, method, start, return_all)
    return last.to(f.dtype, copy=True) if c is None else c, last


def gradients(
    f: Tensor,
    grad_c: Tensor | None,
    grad_last: Tensor | None,
    order: int,
    method: str,
    start: int,
) -> tuple[Tensor, Tensor]:
    """Gradients to f (B, L, D), in its dtype, and to the first state (B, D, N), from
    those to all coefficients and to the last state; zeros if None."""
    batch, length, channels = f.shape
    if grad_c is None and start == 0:
        assert grad_last is not None
        weights = _weights(order, length, method, f)
        if weights is not None:
            grad_f = matmul(grad_last.reshape(-1, order), weights)
            grad_f = grad_f.view(batch, channels, length).transpose(1, 2)
            # The first step forgets the state before it (equation 4.10).
            return grad_f.to(f.dtype).contiguous(), torch.zeros_like(grad_last)
    grad_f = f.new_empty(f.shape)
    return grad_f, _gradients(grad_f, grad_c, grad_last, order, method, start)


def _gradients(
    grad_f: Tensor,
    grad_c: Tensor | None,
    grad_last: Tensor | None,
    order: int,
    method: str,
    start: int,
) -> Tensor:
    """The gradient to the first state; that to f comes to ``grad_f``."""
    batch, length, channels = grad_f.shape
    grad_c = None if grad_c is None else laid_out(grad_c)
    grad_last = None if grad_last is None else laid_out(grad_last)
    grad_state = grad_f.new_empty((batch, channels, order), dtype=torch.float32)

    def tensors(between: Tensor | None, summary: bool) -> Sequence[Tensor | None]:
        outputs = (None, None) if summary else (grad_f, grad_state)
        return grad_c, grad_last, between, *outputs

    sizes = (length, channels, order, batch * channels)
    _pass(adjoint_kernel, tensors, grad_state, sizes, method, start, True)
    return grad_state


def _weights(order: int, length: int, method: str, like: Tensor) -> Tensor | None:
    """What each sample contributes to the last coefficients of a signal that begins here,
    (N, L), kept; None where that is too much. The gradient to f of each coefficient."""
    if order * length > MOST_WEIGHTS:
        return None
    device = like.device

    def make() -> Tensor:
        units = torch.eye(order, dtype=torch.float32, device=device)[:, None]
        of_samples = units.new_empty((order, length, 1))
        _gradients(of_samples, None, units, order, method, 0)
        return of_samples[..., 0]

    key = ("LegS weights", order, length, method)
    return keep(key, device, 4 * order * length, make)


def _pass(
    kernel: JITFunction,
    tensors: Callable[[Tensor | None, bool], Sequence[Tensor | None]],
    like: Tensor,
    sizes: tuple[int, int, int, int],
    method: str,
    start: int,
    every: bool,
) -> None:
    """Summaries, carry and outputs, or outputs alone if there is one chunk; of the last
    chunk alone if not ``every``."""
    length, _, order, signals = sizes
    planned = plan(signals, length, order, like.is_cuda)
    back = kernel is adjoint_kernel
    first = start // planned.size
    chunks = (start + length - 1) // planned.size - first + 1
    between, width, transitions = None, signals, None
    if chunks > 1:
        if planned.keeps and chunks > 2:
            on_page = page(first, first + chunks)
            first -= on_page[0]
            transitions = _transitions(planned, order, method, *on_page, like)
        if chunks > 2 and transitions is None:
            width += order
        between = like.new_empty((chunks - 1, width, order))
        _launch(
            kernel, tensors(between, True), like, planned, method, sizes, width, start,
            chunks, int(back), chunks - 1, True,
        )  # fmt: skip
        _carry(between, transitions, first + back, signals, back)
    begin = 0 if every else chunks - 1
    _launch(
        kernel, tensors(between, False), like, planned, method, sizes, width, start,
        chunks, begin, chunks - begin, False,
    )  # fmt: skip


def _launch(
    kernel: JITFunction,
    tensors: Sequence[Tensor | None],
    like: Tensor,
    planned: Plan,
    method: str,
    sizes: tuple[int, int, int, int],
    width: int,
    start: int,
    chunks: int,
    begin: int,
    count: int,
    summary: bool,
) -> None:
    """Of ``count`` chunks, the first of which is number ``begin``."""
    rows = width if summary else sizes[3]
    tile, warps = planned.tile(rows)
    runner(kernel, like)[(ceil_div(rows, tile) * count,)](
        *tensors, *sizes, width, start, planned.size, chunks, begin,
        SUMMARY=summary, ALPHA=ALPHAS[method], ROWS=tile, ORDER=planned.lanes,
        num_warps=warps,
    )  # fmt: skip


def _transitions(
    planned: Plan, order: int, method: str, begin: int, items: int, like: Tensor
) -> Sequence[Tensor] | None:
    """The kept transitions of so many chunks from ``begin`` on, of groups of them, of
    groups of groups: (items, N, N) each. None where there is no room."""
    device, size = like.device, planned.size

    def make() -> tuple[Tensor, ...]:
        level = torch.empty((items, order, order), dtype=torch.float32, device=device)
        sizes = items * size, 1, order, 0
        _launch(
            recurrence_kernel, (level, None, level, None, None), level, planned, method,
            sizes, order, begin * size, items + 1, 0, items, True,
        )  # fmt: skip
        levels = [level]
        while len(level) > 2 * GROUP:
            products = torch.empty_like(level)
            _carry_launch(level, None, products, level, 0, GROUP, 0, order, 0, False)
            level = products[GROUP - 1 :: GROUP].contiguous()
            levels.append(level)
        return tuple(levels)

    bytes_of_all = 4 * items * order**2 * GROUP // (GROUP - 1)
    key = ("LegS transitions", order, method, size, begin, items)
    return keep(key, device, bytes_of_all, make)


def _carry(
    x: Tensor,
    transitions: Sequence[Tensor] | None,
    first: int,
    signals: int,
    back: bool,
) -> None:
    """The states between chunks, in place of what each chunk adds (items, width, N); item
    i has transition ``first`` + i. Without ``transitions`` they are the rows of x after
    the ``signals``."""
    items, width, _ = x.shape
    if items == 1:
        return
    if transitions is None:
        here, later = x[:, signals:], None
    else:
        level, *later = transitions
        here = level[first:].mT if back else level[first:]
    if items <= 2 * GROUP:
        _carry_launch(x, None, x, here, 0, items, 0, signals, signals, back)
        return
    local = torch.empty_like(x)
    _carry_launch(x, None, local, here, first, GROUP, 0, width, signals, back)
    ends = local[(-first if back else GROUP - 1 - first) % GROUP :: GROUP]
    above = -(-first // GROUP) if back else first // GROUP
    _carry(ends, later, above, signals, back)
    shift = int(back and first % GROUP > 0)
    _carry_launch(x, ends, x, here, first, GROUP, shift, signals, signals, back)


def _carry_launch(
    add: Tensor,
    start: Tensor | None,
    state: Tensor,
    transitions: Tensor,
    first: int,
    group: int,
    shift: int,
    rows: int,
    signals: int,
    back: bool,
) -> None:
    items, _, order = add.shape
    lanes = max(16, power_of_two(order))
    groups = ceil_div(first % group + items, group)
    runner(carry_kernel, add)[(ceil_div(rows, 16) * groups,)](
        add, start, state, transitions, items, first, group, shift, order, rows, signals,
        add.stride(0), 0 if start is None else start.stride(0), state.stride(0),
        *transitions.stride(),
        BACK=back, ROWS=16, BLOCK=min(lanes, BLOCK) if add.is_cuda else lanes, ORDER=lanes,
        num_warps=4 if lanes < 512 else 8,
    )  # fmt: skip
