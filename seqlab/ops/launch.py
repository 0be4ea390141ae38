"""The shortest way to launch a kernel that is compiled.

Triton's own ``kernel[grid](...)`` takes some 25 microseconds. It binds the arguments to
the kernel's parameters, describes them in words, and looks up by these what it has
compiled. Here the same is looked up by a tuple of what Triton compiles for:

  tensors                      dtype, and whether the address is a multiple of 16
  numbers it does not look at  whether they take 32 bits
  all else                     the values themselves

which is never coarser than Triton's own look-up, as long as no two constants of a kernel
are equal and of different types (1 and True). What is not there yet goes Triton's way
once, and so does all while a profiler listens to Triton's launches. As Triton has no
complex numbers, a complex tensor goes for its real ones, of which it has the address.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from triton import knobs
from triton.runtime.jit import JITFunction

MOST = 1024
"""Variants that a kernel remembers on a device, so that changing sizes fill no memory."""

_NO_TENSORS = frozenset((int, float, bool, type(None)))


def as_real(x: Any) -> Any:
    """A complex tensor as its real numbers, the two parts along a further axis; anything
    else as it is."""
    if isinstance(x, torch.Tensor) and x.is_complex():
        return torch.view_as_real(x)
    return x


class Launcher:
    """A kernel on one GPU, to be indexed by a grid and called with the kernel's arguments:
    those of run-time first, by position, then constants, which may be named, and options
    such as ``num_warps``."""

    def __init__(self, kernel: JITFunction, device: torch.device):
        self.kernel, self.device = kernel, device.index
        at_run_time = [each for each in kernel.params if not each.is_constexpr]
        if any(each.is_constexpr for each in kernel.params[: len(at_run_time)]):
            raise TypeError(
                f"{kernel.__name__}: expected parameters of run-time before constants, as "
                "arguments are told apart by their position"
            )
        self.looked_at = [not each.do_not_specialize for each in at_run_time]
        self.variants: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return partial(self.launch, grid)

    def launch(self, grid: tuple[int, ...], *args: Any, **options: Any) -> None:
        if torch.cuda.current_device() != self.device:
            with torch.cuda.device(self.device):
                return self.launch(grid, *args, **options)
        known: list[Any] = [*options.items()]
        values = []
        for x, looked_at in zip(args, self.looked_at, strict=False):
            kind = type(x)
            if kind not in _NO_TENSORS:
                known.append(x.dtype)
                x = x.data_ptr()
                known.append(x % 16 == 0)
            elif looked_at:
                known.append(kind)  # 1.0 is not 1
                known.append(x)
            else:
                known.append(-(2**31) <= x < 2**31)
            values.append(x)
        constants = args[len(values) :]
        known += constants
        values += constants
        key = tuple(known)
        variant = self.variants.get(key)
        if variant is None or _profiled():
            compiled = self.kernel[grid](*map(as_real, args), **options)
            if compiled is not None:
                self._remember(key, compiled, len(args))
            return
        run, function, metadata, named, _ = variant
        stream = torch._C._cuda_getCurrentRawStream(self.device)
        x, y, z = grid if len(grid) == 3 else (*grid, 1, 1)[:3]
        nobody = None, None, None  # listens to this launch
        run(x, y, z, stream, function, metadata, *nobody, *values, *named)

    def _remember(self, key: tuple[Any, ...], compiled: Any, given: int) -> None:
        named = self.kernel.params[given:]
        if not all(each.is_constexpr for each in named):
            raise TypeError(
                f"{self.kernel.__name__}: expected constants alone by name, as others are "
                "launched by position"
            )
        if len(self.variants) == MOST:
            self.variants.clear()
        values = (None,) * len(named)  # compiled in: what stands here is not read
        # ``compiled`` unloads the function when it goes.
        self.variants[key] = (
            compiled.run, compiled.function, compiled.packed_metadata, values, compiled,
        )  # fmt: skip


def _profiled() -> bool:
    """Whether somebody is to be told of launches: a hook (Triton 3.4, 3.5) or a chain of
    them, which may be empty."""
    enter, leave = knobs.runtime.launch_enter_hook, knobs.runtime.launch_exit_hook
    return bool(getattr(enter, "calls", enter) or getattr(leave, "calls", leave))
