"""What a graph is told of an op's results, by its fake, is what it gets, whatever the strides of the arguments: by them
compiled code reads memory."""

import pytest
import torch
from op_calls import arguments_of, noise_like, tensors_in, with_leaves
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from seqlab import ops
from seqlab.catalogue import PAIRINGS, sizes
from seqlab.ops.backends import has_triton

SIZES = sizes(2, 7, 3, states=4, order=5, heads=3, keys=4, values=5)
TINY = sizes(2, 5, 2, states=2, order=2, heads=2, keys=2, values=3)
CALLS = [(name, kind, "portable") for name, pairing in PAIRINGS.items() for kind in pairing.kinds]
if has_triton():
    CALLS += [
        (name, pairing.kinds[0], "triton")
        for name, pairing in PAIRINGS.items()
        if "interpreter" in pairing.sizes
    ]


class Registered(TorchDispatchMode):
    """Of every call of an op of this package, its name and the results, real and fake."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func.namespace == "seqlab":
            with FakeTensorMode() as mode:
                told = func(*tree_map_only(Tensor, mode.from_tensor, args))
            self.calls.append((func.name(), as_tuple(found), as_tuple(told)))
        return found


def as_tuple(results):
    return (results,) if isinstance(results, Tensor) else tuple(results)


def last_two_swapped(x):
    return x.mT.contiguous().mT if x.ndim > 1 else x


def all_reversed(x):
    back = tuple(reversed(range(x.ndim)))
    return x.permute(back).contiguous().permute(back)


def in_memory(x):
    """Shape, dtype, and the strides that make a difference."""
    steps = [step for step, size in zip(x.stride(), x.shape, strict=True) if size > 1]
    return tuple(x.shape), x.dtype, steps if x.numel() else []


@pytest.mark.parametrize(("name", "kind", "backend"), CALLS)
def test_results_lie_in_memory_as_graphs_are_told(name, kind, backend):
    pairing = PAIRINGS[name]
    arguments = arguments_of(pairing, kind, SIZES if backend == "portable" else TINY)
    for laid_out in (last_two_swapped, all_reversed):
        moved = {key: laid_out(x) for key, x in tensors_in(arguments).items()}
        everything, leaves = with_leaves(pairing, {**arguments, **moved})
        with Registered() as registered:
            outputs = pairing.op(**everything, backend=backend)
            sent = [laid_out(noise_like(x)) for x in outputs]
            torch.autograd.grad(outputs, list(leaves.values()), sent)
        for op, found, told in registered.calls:
            assert [in_memory(x) for x in found] == [in_memory(x) for x in told], op
        assert len(registered.calls) >= 2 or (backend == "portable" and is_made_of_others(name))


def is_made_of_others(name):
    """Whether an op is PyTorch's own, with nothing to register."""
    return "interpreter" not in PAIRINGS[name].sizes


def test_a_compiled_call_takes_a_transposed_rate():
    """Inductor holds what an op returns to what it was told."""
    torch._dynamo.reset()
    A = -torch.rand(4, 3).mT
    u, delta, z = torch.rand(3, 2, 3, 9).mT
    B, C = torch.rand(2, 2, 9, 4)

    def results(scan):
        leaves = [x.detach().requires_grad_() for x in (A, z)]
        y, _ = scan(u, delta, leaves[0], B, C, z=leaves[1])
        return y, *torch.autograd.grad(y.sum(), leaves)

    for found, expected in zip(
        results(torch.compile(ops.selective_scan)), results(ops.selective_scan), strict=True
    ):
        torch.testing.assert_close(found, expected)
