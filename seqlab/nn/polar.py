"""Eigenvalues that a reader gives, as parameters of a layer."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn


def check_eigenvalues(
    eigenvalues: ArrayLike | Tensor, most: float = math.inf, zero: bool = False
) -> NDArray[np.complex128]:
    """The eigenvalues as a complex array (state_size,).

    Raises TypeError unless they are numbers; ValueError where there are none, for
    another shape, or where a modulus is not below `most`, not finite, or 0 (unless
    `zero` is allowed).
    """
    given: Any = eigenvalues
    if isinstance(given, Tensor):
        given = given.detach().cpu().resolve_conj()
    try:
        array = np.asarray(given)
    except ValueError:  # rows of several lengths
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iufc":
        got = type(eigenvalues).__name__
        raise TypeError(
            f"eigenvalues: expected complex numbers, shape (state_size,), got {got}"
        )
    lam = array.astype(np.complex128)
    if lam.ndim != 1 or lam.size == 0:
        raise ValueError(
            f"eigenvalues: expected shape (state_size,), not empty, got {lam.shape}"
        )
    modulus = np.abs(lam)
    low = "0 <=" if zero else "0 <"
    outside = ~(((modulus > 0) | zero) & (modulus < most))  # NaN is outside too
    if outside.any():
        n = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"eigenvalues: expected {low} |λ| < {most:g} for all, got {outside.sum()} "
            f"outside, the first at index {n}: {lam[n]:.6g} with |λ| = {modulus[n]:.6g}"
        )
    return lam


def polar(lam: NDArray[np.complex128]) -> tuple[Tensor, Tensor]:
    """nu and theta of λ = exp(-nu + i theta), float64, with a phase from 0 to 2π that is
    never quite 0, so that it has a logarithm in any dtype."""
    phase = np.mod(np.angle(lam), 2 * math.pi).clip(min=np.finfo(np.float32).tiny)
    return torch.from_numpy(-np.log(np.abs(lam))), torch.from_numpy(phase)


def parameter(values: Tensor | NDArray[np.float64], like: Tensor) -> nn.Parameter:
    """The values as a parameter of the dtype and device of `like`."""
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    return nn.Parameter(tensor.to(like))
