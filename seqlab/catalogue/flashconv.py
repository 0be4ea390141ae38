"""The long convolution that goes on from a state: by a few taps, by many, and by a
diagonal state-space model."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.causal_convolution import convolution_operations
from seqlab.catalogue.distributions import (
    Distribution,
    constant,
    every_third,
    log_uniform,
    normal,
    phases,
    signs,
    uniform,
)
from seqlab.catalogue.pairing import (
    Arguments,
    Pairing,
    Sample,
    Workload,
    in_parts,
    on_float32_units,
    sizes,
)
from seqlab.catalogue.ssm import recurrence_operations
from seqlab.ops.h3 import reference

_SYSTEM = ("A_bar", "B_bar", "C")
_PARTS = ("K_or_ssm", *_SYSTEM)


def _loop(
    u: Tensor,
    K_or_ssm: Tensor | None = None,
    A_bar: Tensor | None = None,
    B_bar: Tensor | None = None,
    C: Tensor | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    if K_or_ssm is not None:
        return _sums(u, K_or_ssm, state)
    assert A_bar is not None
    assert B_bar is not None
    assert C is not None
    x = A_bar.new_zeros((len(u), *A_bar.shape)) if state is None else state
    y = []
    for u_t in u.unbind(1):
        x = A_bar * x + B_bar * u_t[..., None]
        read = C * x
        y.append((read.real if read.is_complex() else read).sum(-1))
    return torch.stack(y, dim=1), x


def _sums(u: Tensor, K: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """By each tap in turn, of all that it reaches."""
    length, before = u.shape[1], K.shape[1] - 1
    if state is None:
        state = u.new_zeros((len(u), before, u.shape[2]))
    inputs = torch.cat([state, u], dim=1)
    y = torch.zeros_like(u)
    for j, K_j in enumerate(K.unbind(1)):
        y = y + K_j * inputs[:, before - j : before - j + length]
    return y, inputs[:, length:]


def _sample(
    name: str,
    taps: int,
    *,
    u: Distribution | None = None,
    K: Distribution | None = None,
    state: bool = True,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    """A number of taps, and of inputs before: the letters K and V."""
    arguments: Arguments = {
        "u": normal("BLD") if u is None else u,
        "K_or_ssm": normal("DK") if K is None else K,
    }
    if state:
        arguments["state"] = normal("BVD")
    insisted |= {"keys": taps, "values": taps - 1}
    # From 17 taps on these are Fourier transforms.
    quantities = ("y", "grad u", "grad K_or_ssm", "grad state") if taps > 16 else ()
    spreads = dict.fromkeys(quantities, (1,))
    return Sample(name, arguments, hard, insisted, nan_spreads=spreads)


def _system(
    name: str,
    modulus: Callable[[str], Distribution] = lambda letters: uniform(
        0.3, 0.99, letters
    ),
    *,
    imaginary: bool = False,
    state: bool = True,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    """A diagonal system with decays of the given modulus."""
    arguments: Arguments = {
        "u": normal("BLD"),
        "A_bar": modulus("DN") * (phases("DN") if imaginary else signs("DN")),
        "B_bar": normal("DN", imaginary),
        "C": normal("DN", imaginary),
    }
    if state:
        arguments["state"] = normal("BDN", imaginary)
    name = f"a system, {name}: {'complex' if imaginary else 'real'}"
    spreads = dict.fromkeys(("y", "grad u"), (1,))
    return Sample(name, arguments, hard, insisted, {}, spreads, ("state",))


_SAMPLES = (
    _sample("a few taps", 4),
    _sample("a few taps, no state", 4, state=False),
    _sample("many taps", 130),
    _sample("many taps, no state", 130, state=False),
    _system("moderate a", imaginary=True),
    _system("moderate a"),
    _sample("one tap", 1, state=False, hard=True),
    _sample("a window of 16 taps", 16, hard=True, length=7),
    _sample("a tap more", 17, hard=True, length=7),
    _sample("one time, many taps", 130, hard=True, length=1),
    _sample("more taps than times", 301, hard=True, length=7),
    _sample(
        "u and K of all sizes",
        150,
        u=every_third(1e3 * normal("BLD"), 1e-3 * normal("BLD")),
        K=log_uniform(1e-6, 1e3, "DK") * signs("DK"),
        hard=True,
    ),
    _system(
        "|a| near 1",
        lambda letters: 1 - log_uniform(1e-7, 1e-3, letters),
        imaginary=True,
        hard=True,
    ),
    _system("one time", imaginary=True, hard=True, length=1),
)


def _workload(name: str, kernel: Arguments) -> Workload:
    dtypes = (torch.float32, torch.bfloat16)
    return Workload(name, {"u": normal("BLD"), **kernel}, dtypes, tuple(kernel))


_WORKLOADS = (
    _workload("as many taps as times", {"K_or_ssm": normal("DL")}),
    _workload(
        "a system",
        {
            "A_bar": uniform(0.9, 0.999, "DN") * phases("DN"),
            "B_bar": constant(1, "DN") + 0j,
            "C": normal("DN", imaginary=True),
        },
    ),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads u and the kernel and writes y; backward reads these and y's gradient
    and writes those of u and of the kernel. A state is as small as a kernel at most, and
    is left out."""
    u = arguments["u"].nbytes
    kernel = sum(arguments[part].nbytes for part in _PARTS if part in arguments)
    return 2 * u + kernel, 3 * u + 2 * kernel


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Of taps, those of a convolution; of a system, those of the diagonal recurrence."""
    u = arguments["u"]
    batch, length, channels = map(int, u.shape)
    if "K_or_ssm" in arguments:
        taps = arguments["K_or_ssm"].shape[1]
        return convolution_operations(batch, length, channels, taps)
    numbers = batch * length * channels
    return on_float32_units(u, *recurrence_operations(arguments["A_bar"], numbers))


FLASHCONV = Pairing(
    equation="y_t = sum_j K_j u_{t-j}, from a state; or K_j = Re(C A_bar^j B_bar)",
    chapter=7,
    op=in_parts(ops.flashconv, K_or_ssm=_PARTS),
    reference=in_parts(reference.flashconv, K_or_ssm=_PARTS),
    loop=_loop,
    outputs=("y", "last"),
    differentiable=("u", *_PARTS, "state"),
    full_precision=_PARTS,
    samples=_SAMPLES,
    # The first goes by transforms, which are its own, the others to other ops.
    kinds=("many taps", "a few taps", "a system, moderate a: complex"),
    sizes={
        "portable": (sizes(2, 133, 3, states=4), sizes(3, 1, 2, states=3)),
        # Its kernels are those of other ops, and tried at more sizes as such.
        "interpreter": (sizes(2, 7, 2, states=2),),
        "cuda": (
            sizes(2, 67, 5, states=4),
            sizes(3, 1, 2, states=3),
            sizes(3, 1000, 66, states=16),
            sizes(1, 6200, 5, states=9),
        ),
    },
    carry=sizes(2, 4500, 12, states=16),
    workloads=_WORKLOADS,
    workload_sizes={
        "cuda": (
            sizes(8, 2048, 1024, states=32),
            sizes(8, 8192, 1024, states=32),
            sizes(8, 32768, 1024, states=32),
        ),
        "cpu": (sizes(8, 784, 32, states=8),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=in_parts(ops.flashconv_step, K_or_ssm=_PARTS),
    linear={"y": ("u", "state"), "last": ("u", "state")},
)
