"""Which form of a Triton kernel runs: compiled for CUDA tensors, interpreted for CPU ones.

Triton decides at decoration whether a function is compiled or interpreted. Here that is
decided at the launch, by the tensors: one decorated function serves both.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from threading import RLock, local
from typing import Any

import torch
import triton.language as tl
from torch import Tensor
from triton.language import core
from triton.runtime import interpreter
from triton.runtime.jit import JITFunction

from seqlab.ops.launch import Launcher, as_real

_launch = local()


def runner(kernel: JITFunction, like: Tensor) -> Any:
    """The kernel for tensors like this one, to be indexed by a grid and called.

    Args:
        kernel: decorated with ``triton.jit``.
        like: a tensor that it works on. On a CPU, Triton's interpreter runs the kernel:
            slow, and meant for sizes of a few dozen.
    """
    if not like.is_cuda:
        return _interpreted(kernel.fn)
    launcher = _launchers.get((kernel.fn, like.device))
    if launcher is None:
        launcher = Launcher(kernel, like.device)
        _launchers[kernel.fn, like.device] = launcher
    return launcher


_launchers: dict[tuple[Callable, torch.device], Launcher] = {}


@cache
def _interpreted(function: Callable) -> "_Interpreted":
    return _Interpreted(function)


class _Interpreted:
    """A kernel during whose launch jitted functions may be called, as in a compiled one:
    its own device functions and those of ``triton.language``, such as ``tl.sum``."""

    def __init__(self, function: Callable):
        self.kernel = interpreter.InterpretedFunction(function)

    def __getitem__(self, grid: Any) -> Callable:
        def launch(*args: Any, **options: Any) -> None:
            with _one_at_a_time, _interpreted_language():
                self.kernel[grid](*map(as_real, args), **options)

        return launch


_one_at_a_time = RLock()
_LANGUAGE = (
    tl,
    core,
    tl.math,
    *(each for each in vars(core).values() if isinstance(each, type)),
)


@contextmanager
def _interpreted_language() -> Iterator[None]:
    """While this holds, what ``triton.language`` offers computes with NumPy.

    It is put back here, since the interpreter leaves some of it (Triton 3.4: all of it)
    as it is, and a kernel that is compiled later would find it.
    """
    before = [dict(vars(each)) for each in _LANGUAGE]
    interpreter._patch_lang(_call)  # it looks for tl and core in the function's globals
    _launch.active = True
    try:
        yield
    finally:
        _launch.active = False
        for each, its in zip(_LANGUAGE, before, strict=True):
            for name, value in list(vars(each).items()):
                if name not in its:
                    delattr(each, name)
                elif value is not its[name]:
                    setattr(each, name, its[name])


@cache
def _device_function(function: Callable) -> Callable:
    return interpreter.InterpretedFunction(function).rewrite()


def _call(function: JITFunction, *args: Any, **options: Any) -> Any:
    if getattr(_launch, "active", False):
        return _device_function(function.fn)(*args, **options)
    return _call_outside(function, *args, **options)


# What Triton does here is raise an error, so nothing but our launches sees a difference.
_call_outside = JITFunction.__call__
JITFunction.__call__ = _call


def _patch_tensor(tensor: type, *scope: Any) -> None:
    _patch_tensor_before(tensor, *scope)
    # Triton up to 3.6 says int(data), which NumPy from 2.4 on refuses for shape (1,).
    tensor.__index__ = lambda self: self.handle.data.item()  # type: ignore[attr-defined]


_patch_tensor_before = interpreter._patch_lang_tensor
interpreter._patch_lang_tensor = _patch_tensor


def _binary_op(builder: Any, left: Any, right: Any, operation: Callable) -> Any:
    result = _binary_op_before(builder, left, right, operation)
    # Triton gives a comparison the type of what it compares. A block filled with a
    # comparison of scalars then holds integers, which 3.9 refuses as a mask.
    if result.data.dtype == bool:
        result.dtype = tl.int1
    return result


_binary_op_before = interpreter.InterpreterBuilder.binary_op
interpreter.InterpreterBuilder.binary_op = _binary_op


def _cast(builder: Any, x: Any, dtype: Any) -> Any:
    # Triton cuts bfloat16 off where a GPU rounds to the nearest.
    if x.dtype.scalar == tl.float32 and dtype.scalar == tl.bfloat16:
        rounded = torch.tensor(x.data).to(torch.bfloat16).float().numpy()
        x = interpreter.TensorHandle(rounded, tl.float32)
    return _cast_before(builder, x, dtype)


_cast_before = interpreter.InterpreterBuilder.cast_impl
interpreter.InterpreterBuilder.cast_impl = _cast


def _create_dot(builder: Any, left: Any, right: Any, *others: Any) -> Any:
    # Triton holds bfloat16 as integers, and would multiply these.
    left, right = (
        _cast_before(builder, x, tl.float32) if x.dtype.scalar == tl.bfloat16 else x
        for x in (left, right)
    )
    return _create_dot_before(builder, left, right, *others)


_create_dot_before = interpreter.InterpreterBuilder.create_dot
interpreter.InterpreterBuilder.create_dot = _create_dot

# Triton computes each sum and product of integers once more, in 64 bits, to see whether it
# overflowed, and then asserts that in debug mode alone: a third of the time, for nothing.
_builder = interpreter.interpreter_builder
_builder.options = replace(_builder.options, sanitize_overflow=_builder.options.debug)
