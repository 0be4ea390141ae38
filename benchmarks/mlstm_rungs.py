"""What each idea of the mLSTM kernel brings, on one GPU: the rungs of chapter 9.

``python -m benchmarks.mlstm_rungs --out benchmarks/results/mlstm_rungs_DEVICE.json``

Forward, float32, queued. The first rungs are PyTorch's own operations, then comes the kernel that the chapter prints,
taken from its notebook; the last one is the op. Every rung is held to float64, in some heads, before it is timed.
"""

from collections.abc import Callable, Iterator

import torch
import triton
from torch import Tensor

from benchmarks.first_kernel import first_kernel
from benchmarks.timed_rungs import out_and_quick, record_rungs, relative_error
from seqlab import ops
from seqlab.benchmark.comparison import device_here
from seqlab.ops.interpreter import runner
from seqlab.ops.xlstm import reference
from seqlab.ops.xlstm.mlstm import portable

SIZES = {"batch": 8, "length": 1024, "heads": 8, "keys": 64, "values": 64}
TINY = {"batch": 1, "length": 19, "heads": 2, "keys": 3, "values": 5}
CHECKED = 1  # sequences
ERROR = 1e-4

Step = Callable[[], Tensor]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    layer = inputs(sizes, device_here())
    truth, _ = reference.mlstm(*(x[:CHECKED].cpu().double().numpy() for x in layer))

    def error(made: Tensor) -> float:
        return relative_error(made[:CHECKED], truth)

    moved = 2 * sum(x.nbytes for x in (layer[0], layer[2]))  # eq. 9.13
    record_rungs(arguments.out, sizes, moved, rungs(*layer), error, ERROR)


def inputs(sizes: dict[str, int], device: torch.device) -> tuple[Tensor, ...]:
    """q, k, v and i normal, forget gates around sigmoid(4)."""
    batch, length, heads, keys, values = sizes.values()
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, length, heads, *shape, generator=generator, device=device)

    return normal(keys), normal(keys), normal(values), normal(), 4 + normal()


def rungs(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Iterator[tuple[str, Step]]:
    """The rungs with their names, each to be called before the next one is asked for."""
    yield "PyTorch, step by step", lambda: steps(q, k, v, i, f)
    yield "PyTorch, all chunks together", lambda: ops.mlstm(q, k, v, i, f, backend="portable")[0]
    turned = [x.transpose(1, 2).contiguous() for x in (q, k, v, i, f)]
    yield "the chapter's kernel: a program walks through time", lambda: first(*turned)
    yield "chunks of time: the package", lambda: ops.mlstm(q, k, v, i, f, backend="triton")[0]


def steps(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    """As one would write it: every step a dozen operations."""
    state, h = ops.MLSTMState(*portable.first_state(k[:, 0], v[:, 0], i, None)), []
    for q_t, k_t, v_t, i_t, f_t in zip(*(x.unbind(1) for x in (q, k, v, i, f)), strict=True):
        h_t, state = ops.mlstm_step(q_t, k_t, v_t, i_t, f_t, state)
        h.append(h_t)
    return torch.stack(h, dim=1)


def first(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    """h of inputs that have heads before time."""
    batch, heads, length, keys = q.shape
    values = v.shape[-1]
    h = torch.empty_like(v)
    block_k, block_v = triton.next_power_of_2(keys), 16 if q.is_cuda else 4
    launch = runner(first_kernel("09_xlstm").mlstm_walk, q)[batch * heads, triton.cdiv(values, block_v)]
    sizes = length, keys, values, keys**-0.5
    launch(q, k, v, i, f, h, *sizes, BLOCK_K=block_k, BLOCK_V=block_v)
    return h.transpose(1, 2)


if __name__ == "__main__":
    main()
