"""jax-linear-attention: kernels in Pallas for Hopper, (batch, length, heads, features), those of gated linear attention
and of mLSTM for 16-bit numbers.

Arrays are handed over by DLPack before the clock starts; forward and backward are one jitted function, with the
gradients of all inputs. Kernels are lowered anew for every shape and dtype, which takes up to minutes each: hence its
patience.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqlab.benchmark import Absent, Call, Framework, Implementation
from seqlab.catalogue import Arguments

HOPPER = (9, 0)  # the compute capability
PATIENCE = 420  # seconds
SCANNED = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def _gated(q: Any, k: Any, v: Any, log_decay: Any) -> Any:
    from jla.ops import linear_attention

    kind = "gla" if log_decay.ndim == 4 else "simple_gla"
    return linear_attention(kind, q, k, v, g=log_decay, impl="mosaic_gpu")[0]


def _mlstm(q: Any, k: Any, v: Any, i: Any, f: Any) -> Any:
    """It takes the logarithm of the forget gate, and scales q where we scale k."""
    from jax.nn import log_sigmoid
    from jla.ops import linear_attention

    return linear_attention("mlstm", q, k, v, g=log_sigmoid(f), i=i, eps=0.0, impl="mosaic_gpu")[0]


def _scan(
    u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any = None, z: Any = None, delta_bias: Any = None, *,
    softplus: bool,
) -> Any:  # fmt: skip
    from jla.ops import linear_attention

    more = {"d": D, "z": z, "dt_bias": delta_bias, "dt_softplus": softplus}
    return linear_attention("mamba1", C, B, u, dt=delta, a=A, **more, impl="mosaic_gpu")[0]


def _prepare_gated(arguments: Arguments) -> Call:
    _need_hopper(arguments["q"], arguments.get("state"))
    if arguments.get("bonus") is not None:
        raise Absent("has no kernel with a bonus")
    if arguments["log_decay"].ndim < 3:
        raise Absent("is compared for decays that change over time")
    return _call(_gated, ("q", "k", "v", "log_decay"), arguments)


def _prepare_mlstm(arguments: Arguments) -> Call:
    _need_hopper(arguments["q"], arguments.get("C"))
    if arguments["q"].dtype == torch.float32:
        raise Absent("takes 16-bit numbers only")
    return _call(_mlstm, ("q", "k", "v", "i", "f"), arguments)


def _prepare_scan(arguments: Arguments) -> Call:
    _need_hopper(arguments["u"], arguments.get("state"))
    if arguments["A"].is_complex():
        raise Absent("takes a real A only")
    if arguments.get("discretization", "euler") != "euler":
        raise Absent("takes Euler's step for B only")
    names = tuple(name for name in SCANNED if arguments.get(name) is not None)
    return _call(_scan, names, arguments, softplus=arguments.get("delta_softplus", False))


def _need_hopper(x: Tensor, state: Tensor | None) -> None:
    if not x.is_cuda:
        raise Absent("needs a CUDA GPU")
    if torch.cuda.get_device_capability(x.device) != HOPPER:
        raise Absent("needs a Hopper GPU")
    if state is not None:
        raise Absent("is compared without a first state")


def _call(
    function: Callable[..., Any], names: tuple[str, ...], arguments: Arguments, **options: bool
) -> Call:
    # Read when JAX first looks for the GPU, most of whose memory it would take; PyTorch needs some.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax
    from jax.dlpack import from_dlpack

    forward, both = _jitted(function, names, **options)
    leaves = tuple(from_dlpack(arguments[name].detach().contiguous()) for name in names)

    def cotangents(y: Tensor) -> tuple[Any, ...]:
        torch.cuda.empty_cache()  # what PyTorch holds for later is missing to JAX
        return (from_dlpack(y.contiguous()),)

    def memory(pass_: str, cotangents: tuple[Any, ...]) -> int | None:
        """As compiled: its temporaries and its results, which are there together. (What its allocator says is the
        peak of all calls of a process, of several queued ones too.)"""
        asked = forward.lower(*leaves) if pass_ == "forward" else both.lower(leaves, cotangents)
        sizes = asked.compile().memory_analysis()  # compiled before: looked up
        return None if sizes is None else sizes.temp_size_in_bytes + sizes.output_size_in_bytes

    return Call(
        leaves=leaves,
        forward=forward,
        output=lambda outputs: torch.from_dlpack(outputs[0]),
        cotangents=cotangents,
        gradients=lambda found: dict(zip(names, map(torch.from_dlpack, found), strict=True)),
        framework=Framework(both=both, wait=jax.block_until_ready, memory=memory),
    )


@functools.cache
def _jitted(function: Callable[..., Any], names: tuple[str, ...], **options: bool) -> tuple[Any, Any]:
    """The forward pass, and both passes: once for all sets of inputs, as what is compiled belongs to a function."""
    import jax

    def forward(*leaves: Any) -> tuple[Any, ...]:
        return (function(**dict(zip(names, leaves, strict=True)), **options),)

    def both(leaves: tuple[Any, ...], cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
        outputs, backward = jax.vjp(forward, *leaves)
        return outputs, backward(cotangents)

    return jax.jit(forward), jax.jit(both)


PEERS = [
    Implementation("jax-linear-attention", op, prepare, PATIENCE)
    for op, prepare in {
        "gated_linear_attention": _prepare_gated,
        "mlstm": _prepare_mlstm,
        "selective_scan": _prepare_scan,
    }.items()
]
