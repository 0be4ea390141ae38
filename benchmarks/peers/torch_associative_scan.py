"""PyTorch's own associative_scan, a prototype, under torch.compile; complex numbers as pairs of real ones."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from seqlab.benchmark import Absent, Call, Implementation


def _combine_real(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (a1, b1), (a2, b2) = first, second
    return a2 * a1, a2 * b1 + b2


def _combine_complex(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (ar1, ai1, br1, bi1), (ar2, ai2, br2, bi2) = first, second
    return (
        ar2 * ar1 - ai2 * ai1,
        ar2 * ai1 + ai2 * ar1,
        ar2 * br1 - ai2 * bi1 + br2,
        ar2 * bi1 + ai2 * br1 + bi2,
    )


@functools.cache
def _compiled(imaginary: bool) -> Callable[..., tuple[Tensor, ...]]:
    from torch._higher_order_ops.associative_scan import associative_scan

    combine, states = (_combine_complex, 2) if imaginary else (_combine_real, 1)

    def scan(*leaves: Tensor) -> tuple[Tensor, ...]:
        return tuple(associative_scan(combine, leaves, dim=1)[-states:])

    return torch.compile(scan)


def _prepare(arguments: dict[str, Tensor]) -> Call:
    a, b = arguments["a"], arguments["b"]
    if not b.is_cuda:
        raise Absent("needs a CUDA GPU")
    every_a = a.expand(b.shape)
    parts = (every_a.real, every_a.imag, b.real, b.imag) if b.is_complex() else (every_a, b)

    def gradients(found: tuple[Tensor, ...]) -> dict[str, Tensor]:
        grad_a, grad_b = (_joined(found[:2]), _joined(found[2:])) if b.is_complex() else found
        summed = grad_a.to(torch.complex128 if b.is_complex() else torch.float64).sum((0, 1))
        return {"a": summed if a.ndim == 1 else grad_a, "b": grad_b}

    return Call(
        leaves=tuple(part.contiguous() for part in parts),
        forward=_compiled(b.is_complex()),
        output=lambda outputs: _joined(outputs) if b.is_complex() else outputs[0],
        cotangents=lambda x: (x.real.contiguous(), x.imag.contiguous()) if b.is_complex() else (x,),
        gradients=gradients,
    )


def _joined(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.complex(*parts)


PEERS = [Implementation("torch associative_scan, compiled", "linear_scan", _prepare)]
