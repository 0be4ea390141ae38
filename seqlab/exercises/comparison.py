"""An answer beside the truth: the first difference, as a sentence."""

import inspect
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from seqlab.exercises import Rejected


def unpacked(got: Any, results: tuple[str, ...]) -> tuple:
    """What an answer returned, as one thing for each name.

    Raises:
        NotImplementedError: one of them is ``...``.
        Rejected: there are more or fewer.
    """
    found = got if isinstance(got, tuple | list) else (got,)
    if any(each is ... for each in found):
        raise NotImplementedError
    if len(results) == 1:
        return (got,)
    if len(found) != len(results):
        names = ", ".join(results)
        raise Rejected(f"expected {len(results)} results, {names}, got {len(found)}")
    return tuple(found)


def compare(
    answer: Callable,
    truth: Callable,
    inputs: Iterable[tuple],
    results: tuple[str, ...],
    tolerance: float = 1e-9,
) -> None:
    """Raise ``Rejected`` unless the answer returns what the truth returns.

    Args:
        answer: the reader's function. What it returns may be numbers, NumPy arrays or
            tensors on any device; ``...`` says that it is not solved yet.
        truth: a function of the same arguments, whose names the sentence takes.
        inputs: the arguments of each call.
        results: the names of what is returned, one or several.
        tolerance: the largest difference, relative to the largest number of a result.
    """
    for arguments in inputs:
        here = _described(truth, arguments)
        try:
            got = answer(*deepcopy(arguments))
        except (NotImplementedError, Rejected):
            raise
        except Exception as error:
            kind = type(error).__name__
            raise Rejected(f"it raises {kind} for {here}: {error}") from error
        wanted = truth(*arguments)
        if len(results) == 1:
            wanted = (wanted,)
        for name, ours, theirs in zip(
            results, unpacked(got, results), wanted, strict=True
        ):
            _compare_one(name, _array(ours), np.asarray(theirs), here, tolerance)


def _compare_one(
    name: str, got: np.ndarray, wanted: np.ndarray, here: str, tolerance: float
) -> None:
    if got.shape != wanted.shape:
        raise Rejected(
            f"{name} has shape {got.shape}, expected {wanted.shape}, for {here}"
        )
    if got.dtype == object or (got.ndim and got.dtype != wanted.dtype):
        raise Rejected(
            f"{name} has dtype {got.dtype}, expected {wanted.dtype}, for {here}"
        )
    far = ~(np.abs(got - wanted) <= tolerance * np.abs(wanted).max())  # NaN is far
    if far.any():
        place = tuple(int(i) for i in np.argwhere(far)[0])
        index = str(list(place)) if place else ""
        raise Rejected(
            f"{name}{index} is {_number(got[place])}, "
            f"expected {_number(wanted[place])}, for {here}"
        )


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # a tensor, wherever it is and whatever recorded it
        value = value.detach().cpu().resolve_conj().resolve_neg().numpy()
    return np.asarray(value)


def _number(value: Any) -> str:
    return f"{value.item():.6g}"


def _described(function: Callable, arguments: tuple) -> str:
    """The arguments by name: small ones as numbers, others by their shape."""
    words = []
    for name, value in inspect.signature(function).bind(*arguments).arguments.items():
        array = np.asarray(value)
        if array.ndim == 0:
            words.append(f"{name} = {_number(array)}")
        elif array.size <= 4:
            numbers = ", ".join(map(_number, array.ravel()))
            words.append(f"{name} = [{numbers}]")
        else:
            words.append(f"{name} of shape {array.shape}")
    return ", ".join(words)
