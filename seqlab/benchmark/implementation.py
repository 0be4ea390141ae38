"""What takes part in a comparison: our own op, a loop, and the peers that are handed
in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlab.catalogue import PAIRINGS, Arguments
from seqlab.ops.backends import has_triton

OURS = "seqlab"  # how the names of our own implementations begin
PATIENCE = 90  # seconds for all measurements of a peer; ours must be done

Leaves = tuple[Any, ...]


class Absent(Exception):
    """Raised by a peer that cannot take part in a comparison; the message says why."""


@dataclass(frozen=True)
class Framework:
    """What another framework than PyTorch does by itself: its gradients, its streams and
    its memory are not PyTorch's.

    ``both(leaves, cotangents)`` returns the outputs and the gradients of the leaves;
    ``wait(result)`` returns when what a call gave is there; ``memory(pass_, cotangents)``
    are the bytes that a call allocates beyond its inputs, None where nobody says.
    """

    both: Callable[[Leaves, Leaves], tuple[Leaves, Leaves]]
    wait: Callable[[object], object]
    memory: Callable[[str, Leaves], int | None]


@dataclass(frozen=True)
class Call:
    """An implementation with its inputs, in its own layout, and the way back to ours.

    What ``forward(*leaves)`` returns becomes our result through ``output``; a
    gradient of ours becomes theirs through ``cotangents``; the gradients of the leaves
    become ours, by name, through ``gradients``. Leaves are tensors of PyTorch, which
    differentiates ``forward``, or arrays of another ``framework``.
    """

    leaves: Leaves
    forward: Callable[..., Leaves]
    output: Callable[[Leaves], Tensor]
    cotangents: Callable[[Tensor], Leaves]
    gradients: Callable[[Leaves], dict[str, Tensor]]
    framework: Framework | None = None


@dataclass(frozen=True)
class Implementation:
    """Something that computes an op: ``prepare`` makes its call for given arguments, or
    raises ``Absent``; a peer's process has ``patience`` seconds, in which it compiles."""

    name: str
    op: str
    prepare: Callable[[Arguments], Call]
    patience: int = PATIENCE

    @property
    def is_ours(self) -> bool:
        """Whether it is of this package, and so must not fail."""
        return self.name.startswith(OURS)


def implementations(
    op: str, device: torch.device, peers: Sequence[Implementation]
) -> list[Implementation]:
    """Everything that could compute ``op``: ours, a loop where it is bearable, and the
    peers of this op.

    The portable form is no rival of a kernel, but the truth that it is held to: it is
    timed beside one where there are no peers to compare with.
    """
    pairing = PAIRINGS[op]
    backends = ["portable"]
    if device.type == "cuda" and has_triton() and "cuda" in pairing.sizes:
        backends = ["triton"] if peers else ["triton", "portable"]

    def ours(backend: str) -> Implementation:
        # On a GPU what a caller gets: the kernel, but where an op has none.
        options = {} if backend == "triton" else {"backend": backend}
        return Implementation(
            f"{OURS}, {backend}",
            op,
            lambda arguments: plain_call(op, pairing.op, arguments, **options),
        )

    found = [ours(backend) for backend in backends]
    if device.type == "cpu":
        found.append(
            Implementation(
                "python loop",
                op,
                lambda arguments: plain_call(op, pairing.loop, arguments),
            )
        )
    return found + [peer for peer in peers if peer.op == op]


def plain_call(
    op: str,
    function: Callable[..., tuple[Tensor, ...]],
    arguments: Arguments,
    **options: str,
) -> Call:
    """A call of a function that takes our arguments in our layout, by name, and
    ``options`` beside them."""
    given = tensors(arguments)
    names = tuple(given)
    results = PAIRINGS[op].results
    return Call(
        leaves=tuple(given.values()),
        forward=lambda *leaves: function(
            **{**arguments, **dict(zip(names, leaves, strict=True))}, **options
        )[:results],
        output=as_one,
        cotangents=lambda cotangent: (
            (cotangent,) if results == 1 else cotangent.unbind()
        ),
        gradients=lambda gradients: dict(zip(names, gradients, strict=True)),
    )


def tensors(arguments: Arguments) -> dict[str, Tensor]:
    """The arguments without options such as a method's name."""
    return {key: x for key, x in arguments.items() if isinstance(x, Tensor)}


def as_one(results: Sequence[Tensor]) -> Tensor:
    """The results of an op as one tensor."""
    return results[0] if len(results) == 1 else torch.stack(tuple(results))
