"""A reader's Triton kernel, run on the CPU by Triton's interpreter."""

import inspect
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.ops.backends import has_triton


def unwritten(*shape: int) -> np.ndarray:
    """An output in float32 that holds NaN wherever no kernel writes."""
    return np.full(shape, np.nan, np.float32)


def launch(
    kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any
) -> None:
    """Run a kernel on NumPy arrays, into which it writes.

    Args:
        kernel: decorated with ``triton.jit``, for whatever device; or not decorated.
        grid: the number of programs.
        arguments: arrays and numbers, in the order of its parameters.
        constants: its ``tl.constexpr`` parameters.

    Raises:
        Rejected: Triton is missing, this is no kernel, or it reads or writes beside its
            tensors.
        NotImplementedError, or whatever else the kernel raises.
    """
    if not has_triton():
        raise Rejected(
            "not checked, since Triton's interpreter has to run the kernel, and Triton "
            "is not installed here (it exists for Linux)"
        )
    import torch
    import triton
    from triton.runtime.errors import InterpreterError

    from seqlab.ops.interpreter import runner
    from seqlab.ops.sanitizer import watched

    function = kernel
    while hasattr(function, "fn"):  # triton.jit, and triton.autotune around it
        function = function.fn
    if not inspect.isfunction(function):
        raise Rejected(f"expected a Triton kernel, got {kernel!r}")
    tensors = [
        torch.from_numpy(each) if isinstance(each, np.ndarray) else each
        for each in arguments
    ]
    like = next(each for each in tensors if isinstance(each, torch.Tensor))
    try:
        with watched(), np.errstate(all="ignore"):  # a GPU warns of no overflow either
            runner(triton.jit(function), like)[grid](*tensors, **constants)
    except InterpreterError as error:
        cause: BaseException = error
        while isinstance(cause, InterpreterError) and cause.__cause__:
            cause = cause.__cause__
        if isinstance(cause, IndexError):
            raise Rejected(
                f"the kernel makes {cause}: a mask is missing or an index is wrong"
            ) from error
        raise cause from error
