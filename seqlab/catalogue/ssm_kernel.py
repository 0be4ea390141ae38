"""The convolution kernel of a diagonal state-space model, K_j = Re(C A_bar^j B_bar)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    Size,
    bits,
    constant,
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
    sizes,
    tuple_of,
)
from seqlab.ops.vandermonde import reference


def _loop(A_bar: Tensor, B_bar: Tensor, C: Tensor, L: int) -> tuple[Tensor]:
    x, K = A_bar**0 * B_bar, []
    for _ in range(L):
        K.append((C * x).sum(1).real)
        x = A_bar * x
    return (torch.stack(K, dim=1),)


def _modulus(letters: str) -> Distribution:
    return uniform(0.3, 0.99, letters)


_HARD: dict[str, Callable[[str], Distribution]] = {
    "|A_bar| near 1": lambda letters: 1 - log_uniform(1e-7, 1e-3, letters),
    "|A_bar| = 1": lambda letters: constant(1, letters),
    "some A_bar = 0": lambda letters: _modulus(letters) * bits(letters),
    "tiny A_bar": lambda letters: log_uniform(1e-37, 1e-20, letters),
}


def _sample(
    name: str,
    modulus: Callable[[str], Distribution],
    *,
    imaginary: bool,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    """Eigenvalues of the given modulus, with random signs, or phases when
    ``imaginary``."""
    arguments: Arguments = {
        "A_bar": modulus("DN") * (phases("DN") if imaginary else signs("DN")),
        "B_bar": normal("DN", imaginary),
        "C": normal("DN", imaginary),
        "L": Size("L"),
    }
    kind = "complex" if imaginary else "real"
    return Sample(f"{name}: {kind}", arguments, hard, insisted)


_SAMPLES = (
    *(_sample("moderate A_bar", _modulus, imaginary=i) for i in (False, True)),
    *(
        _sample(name, modulus, imaginary=i, hard=True)
        for name, modulus in _HARD.items()
        for i in (False, True)
    ),
    _sample("N odd, L = 1", _modulus, imaginary=True, hard=True, states=3, length=1),
)

_S4D = Workload(
    "complex",
    {
        "A_bar": uniform(0.9, 0.999, "DN") * phases("DN"),
        "B_bar": normal("DN", imaginary=True),
        "C": normal("DN", imaginary=True),
        "L": Size("L"),
    },
    (torch.complex64,),
)

_S4D_REAL = Workload(
    "real",
    {
        "A_bar": uniform(0.9, 0.999, "DN"),
        "B_bar": normal("DN"),
        "C": normal("DN"),
        "L": Size("L"),
    },
    (torch.float32,),
)


def _shape(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    return (*map(int, arguments["A_bar"].shape), arguments["L"])


def _is_complex(x: Any) -> bool:
    return x.is_complex() if isinstance(x, Tensor) else np.iscomplexobj(x)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads A_bar, B_bar and C and writes K; backward reads these and K's gradient
    and writes theirs."""
    A = arguments["A_bar"]
    D, _, L = _shape(arguments)
    K = D * L * A.itemsize // (2 if _is_complex(A) else 1)
    return 3 * A.nbytes + K, 6 * A.nbytes + K


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """A product, the next power, and a sum, of its real part alone; backward the sums of
    g_j A_bar^j and of g_j j A_bar^(j - 1), which share their powers."""
    D, N, L = _shape(arguments)
    if _is_complex(arguments["A_bar"]):
        return D * N * L * (6 + 1), D * N * L * (6 + 4 + 4)
    return D * N * L * (1 + 1), D * N * L * (1 + 2 + 2)


SSM_KERNEL = Pairing(
    equation="K_j = Re(C A_bar^j B_bar)",
    chapter=6,
    op=tuple_of(ops.ssm_kernel),
    reference=tuple_of(reference.ssm_kernel),
    loop=_loop,
    outputs=("K",),
    differentiable=("A_bar", "B_bar", "C"),
    full_precision=("A_bar", "B_bar", "C"),
    samples=_SAMPLES,
    kinds=("moderate A_bar: real", "moderate A_bar: complex"),
    sizes={
        "portable": (
            sizes(1, 67, 3, states=5),
            sizes(1, 1, 2, states=1),
            sizes(1, 301, 2, states=4),
        ),
        "interpreter": (sizes(1, 19, 2, states=3), sizes(1, 1, 1, states=1)),
        "cuda": (
            sizes(1, 67, 3, states=5),
            sizes(1, 1, 2, states=1),
            sizes(1, 1000, 40, states=64),
            sizes(1, 2049, 3, states=33),
            sizes(1, 9001, 2, states=16),
        ),
    },
    carry=sizes(2, 9000, 5, states=40),
    workloads=(_S4D, _S4D_REAL),
    workload_sizes={
        "cuda": (sizes(1, 8192, 1024, states=64), sizes(1, 65536, 256, states=32)),
        "cpu": (sizes(1, 784, 64, states=32),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    linear={"K": ("C",)},
)
