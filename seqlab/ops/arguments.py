"""What ops and layers check about their arguments, so that a mistake is reported in the
reader's terms: the argument, what was expected, what came."""

import math
from collections.abc import Collection, Iterable, Sequence
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

from seqlab.ops.autocast import AUTOCAST_DTYPES, under_autocast

Shape = Sequence[int | None]
"""Sizes of axes; None where any will do."""


def check_tensor(name: str, value: object) -> None:
    """Raise TypeError unless ``value`` is a tensor, and a dense one."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")
    if value.layout is not torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got {value.layout}")


def check_dtype(name: str, x: Tensor, dtypes: Collection[torch.dtype]) -> None:
    """Raise TypeError unless the tensor has one of ``dtypes``."""
    if x.dtype not in dtypes:
        one_of = "one of " * (len(dtypes) > 1)
        raise TypeError(
            f"{name}: expected {one_of}{dtype_names(dtypes)}, got {x.dtype}"
        )


def check_shape(
    name: str, x: Tensor, letters: str, shape: Shape | None = None, like: str = ""
) -> None:
    """Raise ValueError unless the tensor has such a shape.

    Args:
        letters: the axes in words, such as "batch, length, channels".
        shape: their sizes; any if None.
        like: the argument that the sizes come from.
    """
    if shape is not None and x.shape == shape:
        return
    fits = x.ndim == len(letters.split(", "))
    if fits and shape is not None:
        fits = all(
            size is None or actual == size
            for actual, size in zip(x.shape, shape, strict=True)
        )
    if not fits:
        raise ValueError(
            f"{name}: expected shape {_axes(letters)}{_sizes(shape)}{_like(like)}, "
            f"got {tuple(x.shape)}"
        )


def check_like(
    name: str,
    x: object,
    like_name: str,
    like: Tensor,
    letters: str,
    shape: Shape,
    dtype: torch.dtype | None = None,
) -> None:
    """Raise TypeError or ValueError unless ``x`` is a tensor of this shape and of the
    device and the dtype of ``like``, or of ``dtype``, which then follows from that of
    ``like``."""
    check_tensor(name, x)
    assert isinstance(x, Tensor)
    if dtype is None and x.dtype != like.dtype:
        raise TypeError(
            f"{name}: expected dtype {like.dtype} like {like_name}, got {x.dtype}"
        )
    if dtype is not None and x.dtype != dtype:
        raise TypeError(
            f"{name}: expected dtype {dtype} for a {like_name} of {like.dtype}, got {x.dtype}"
        )
    check_shape(name, x, letters, shape, like_name)
    if x.device != like.device:
        raise ValueError(
            f"{name}: expected device {like.device} like {like_name}, got {x.device}"
        )


def check_not_empty(name: str, x: Tensor) -> None:
    """Raise ValueError if an axis of the tensor has length 0."""
    if 0 in x.shape:
        raise ValueError(
            f"{name}: expected every axis to be at least 1 long, got {tuple(x.shape)}"
        )


def parts_of(name: str, value: object, kind: type[tuple]) -> tuple:
    """``value`` as a ``kind`` of named tuple; TypeError unless it is a tuple of as many
    parts."""
    fields = kind._fields  # type: ignore[attr-defined]
    if not isinstance(value, tuple) or len(value) != len(fields):
        got = f"a tuple of {len(value)}" if isinstance(value, tuple) else _said(value)
        raise TypeError(f"{name}: expected a tuple ({', '.join(fields)}), got {got}")
    return kind(*value)


def check_sequence(name: str, u: object, width: int, parameter: Tensor) -> None:
    """Raise TypeError or ValueError unless ``u`` is a non-empty (batch, length, width)
    tensor of the device of a layer's ``parameter``, and of its dtype or, under autocast,
    of one that autocast hands on."""
    _check_input(name, u, "batch, length, width", (None, None, width), parameter)


def check_step(name: str, u_t: object, width: int, parameter: Tensor) -> None:
    """Raise TypeError or ValueError unless ``u_t`` is a non-empty (batch, width) tensor,
    otherwise as for :func:`check_sequence`."""
    _check_input(name, u_t, "batch, width", (None, width), parameter)


def check_state(
    name: str,
    state: object,
    u: Tensor,
    width: int | tuple[int, ...],
    dtype: torch.dtype,
    letters: str = "batch, width",
) -> None:
    """Raise TypeError or ValueError unless ``state`` is a (batch, width) tensor that goes
    with the input ``u``, of this dtype or, under autocast, of one that autocast hands
    on. A state of more axes has several widths, and ``letters`` that say what they are.
    """
    check_tensor(name, state)
    assert isinstance(state, Tensor)
    widths = width if isinstance(width, tuple) else (width,)
    check_shape(name, state, letters, (u.shape[0], *widths), "u")
    _check_kind(name, state, dtype, u.device)


def _check_input(
    name: str, u: object, letters: str, shape: Shape, parameter: Tensor
) -> None:
    check_tensor(name, u)
    assert isinstance(u, Tensor)
    check_shape(name, u, letters, shape)
    check_not_empty(name, u)
    _check_kind(name, u, parameter.dtype, parameter.device)


def _check_kind(name: str, x: Tensor, dtype: torch.dtype, device: torch.device) -> None:
    handed_on = x.dtype in AUTOCAST_DTYPES and dtype in AUTOCAST_DTYPES
    if x.dtype != dtype and not (handed_on and under_autocast(device)):
        raise TypeError(f"{name}: expected dtype {dtype} like the layer, got {x.dtype}")
    if x.device != device:
        raise ValueError(
            f"{name}: expected device {device} like the layer, got {x.device}"
        )


def choice(name: str, value: object, choices: Iterable[str]) -> str:
    """``value`` itself; ValueError unless it is one of ``choices``."""
    known = tuple(choices)
    if not (isinstance(value, str) and value in known):
        listed = ", ".join(map(repr, known))
        raise ValueError(f"{name}: expected one of {listed}, got {value!r}")
    return value


def boolean(name: str, value: object) -> bool:
    """``value``, of Python or NumPy, as a bool; TypeError if it is none."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {_said(value)}")
    return bool(value)


def integer(name: str, value: object, least: int = 0) -> int:
    """``value``, of Python or NumPy, as an int; TypeError if it is none, ValueError unless
    it lies between ``least`` and 2^63 - 1. A size that an exported graph leaves open stays
    open."""
    if isinstance(value, torch.SymInt):
        return value  # type: ignore[return-value]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {_said(value)}")
    whole = int(value)
    if not least <= whole < 2**63:
        raise ValueError(
            f"{name}: expected an integer from {least} to 2^63 - 1, got {whole}"
        )
    return whole


def positive_integer(name: str, value: object) -> int:
    """``value``, of Python or NumPy, as an int; TypeError if it is none, ValueError unless
    it is at least 1."""
    return integer(name, value, least=1)


def number(
    name: str,
    value: object,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
) -> float:
    """``value``, of Python or NumPy, as a float; TypeError if it is none, ValueError
    unless it is finite, from ``least`` to ``most`` and more than ``above``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {_said(value)}")
    try:
        x = float(value)
    except OverflowError:
        x = math.inf
    # Comparisons alone: torch.compile traces them where it would not trace isfinite.
    if not (-math.inf < x < math.inf and least <= x <= most and x > above):
        raise ValueError(
            f"{name}: expected {_range(least, most, above)}, got {value if math.isfinite(x) else x}"
        )
    return x


def dtype_names(dtypes: Iterable[torch.dtype]) -> str:
    """The dtypes in words, without "torch."."""
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums and states are kept in: float32 for narrower numbers, else the same."""
    return _ACCUMULATION.get(dtype, dtype)


# Looked up, as torch.promote_types takes a microsecond.
_ACCUMULATION = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def _axes(letters: str) -> str:
    return f"({letters},)" if ", " not in letters else f"({letters})"


def _sizes(shape: Shape | None) -> str:
    if shape is None or all(size is None for size in shape):
        return ""
    sizes = ", ".join("*" if size is None else str(size) for size in shape)
    return f" = ({sizes},)" if len(shape) == 1 else f" = ({sizes})"


def _like(name: str) -> str:
    return f" like {name}" if name else ""


def _range(least: float, most: float, above: float) -> str:
    if above == 0 and most == math.inf:
        return "a positive number"
    if least > -math.inf and most < math.inf:
        return f"a number from {least:g} to {most:g}"
    bounds = []
    if least > -math.inf:
        bounds.append(f"at least {least:g}")
    if above > -math.inf:
        bounds.append(f"above {above:g}")
    if most < math.inf:
        bounds.append(f"at most {most:g}")
    return "a finite number" + (" " + " and ".join(bounds) if bounds else "")


def _said(value: object) -> str:
    return type(value).__name__
