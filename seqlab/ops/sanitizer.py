"""Memory that is watched while Triton's interpreter runs: no kernel reads or writes
beside its tensors, or returns what it has not written."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from triton.runtime import interpreter

EMPTY = (torch.empty, torch.empty_like, torch.empty_strided, Tensor.new_empty)


class Poisoned(TorchFunctionMode):
    """New tensors are full of NaN, or of the largest integer, where PyTorch leaves in
    them what was there before."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if function in EMPTY and made.dtype != torch.bool:
            floating = made.is_floating_point() or made.is_complex()
            made.fill_(torch.nan if floating else torch.iinfo(made.dtype).max)
        return made


def extent(x: Tensor) -> tuple[int, int]:
    """The first address of a tensor's numbers, and the one after the last."""
    last = sum(
        (size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)
    )
    return x.data_ptr(), x.data_ptr() + (last + 1) * x.element_size()


def check(
    what: str, pointers: Any, mask: np.ndarray, tensors: dict[str, tuple[int, int]]
) -> None:
    """Raise IndexError unless every pointer that the mask selects points into one of
    the tensors, of which ``tensors`` has the extents."""
    shape = np.broadcast(pointers.data, mask).shape
    addresses = np.broadcast_to(pointers.data, shape)[mask].astype(np.int64)
    width = pointers.get_element_ty().primitive_bitwidth // 8
    inside = np.zeros(addresses.shape, bool)
    for first, end in tensors.values():
        inside |= (first <= addresses) & (addresses + width <= end)
    if inside.all():
        return
    stray = int(addresses[~inside][0])
    places = []
    for name, (first, end) in tensors.items():
        places.append((abs(stray - first), f"{first - stray} bytes before {name}"))
        places.append((abs(stray - end), f"{stray - end} bytes past the end of {name}"))
    raise IndexError(
        f"{what} of {(~inside).sum()} numbers beside the kernel's tensors, "
        f"one {min(places)[1]}"
    )


@contextmanager
def watched() -> Iterator[None]:
    """Within it, a launch in the interpreter that reads or writes beside its tensors
    fails, and what no kernel has written is NaN."""
    tensors: dict[str, tuple[int, int]] = {}
    launch = interpreter.GridExecutor._init_args_hst
    builder = interpreter.InterpreterBuilder

    def take(executor, args, kwargs):
        found = launch(executor, args, kwargs)
        named = dict(zip(executor.arg_names, found[0], strict=False)) | found[1]
        tensors.clear()
        tensors.update(
            {k: extent(x) for k, x in named.items() if isinstance(x, Tensor)}
        )
        return found

    def guard(method, what, mask_at):
        before = getattr(builder, method)

        def guarded(self, *args):
            pointers = next(x for x in args if isinstance(x, interpreter.TensorHandle))
            mask = args[mask_at].data if mask_at else np.ones_like(pointers.data, bool)
            check(what, pointers, mask.astype(bool), tensors)
            return before(self, *args)

        return mock.patch.object(builder, method, guarded)

    with ExitStack() as stack:
        stack.enter_context(
            mock.patch.object(interpreter.GridExecutor, "_init_args_hst", take)
        )
        stack.enter_context(guard("create_masked_load", "a load", 1))
        stack.enter_context(guard("create_masked_store", "a store", 2))
        stack.enter_context(guard("create_atomic_rmw", "an atomic", 3))
        stack.enter_context(guard("create_atomic_cas", "an atomic", None))
        stack.enter_context(Poisoned())
        yield
