"""Discretization, x' = A x + B u to x_k = A_bar x_{k-1} + B_bar u_k: diagonal, with a
kernel, and dense."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    constant,
    every_third,
    index,
    log_uniform,
    matrix,
    normal,
    uniform,
)
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Workload, sizes
from seqlab.ops.discretize import reference
from seqlab.ops.discretize.reference import ALPHAS, METHODS
from seqlab.ops.hippo.reference import hippo_transition

Draw = Callable[[str], Distribution]
System = tuple[Distribution | np.ndarray, Distribution | np.ndarray]


def _loop(
    A: Tensor,
    B: Tensor,
    dt: Tensor,
    method: str = "zoh",
    diagonal: bool = False,
    alpha: float | None = None,
) -> tuple[Tensor, Tensor]:
    alpha = ALPHAS.get(method, alpha)
    if diagonal:
        return _diagonal_loop(A, B, dt, method, alpha)
    columns = B if B.ndim == 2 else B[:, None]
    steps = [_dense_step(A, columns, each, method, alpha) for each in dt.flatten()]
    A_bar, B_bar = (torch.stack(each) for each in zip(*steps, strict=True))
    A_bar = A_bar.reshape(*dt.shape, *A.shape)
    if method == "foh":
        return A_bar, B_bar.transpose(0, 1).reshape(2, *dt.shape, *B.shape)
    return A_bar, B_bar.reshape(*dt.shape, *B.shape)


def _dense_step(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float | None
) -> tuple[Tensor, Tensor]:
    """One dt. The holds go by the exponential of A with the input's own system beside
    it."""
    states, inputs = B.shape
    if alpha is not None:
        identity = torch.eye(states, dtype=A.dtype)
        inverse = torch.linalg.inv(identity - alpha * dt * A)
        return inverse @ (identity + (1 - alpha) * dt * A), inverse @ B * dt
    size = states + 2 * inputs
    generator = torch.zeros(size, size, dtype=A.dtype)
    generator[:states, :states] = dt * A
    generator[:states, states : states + inputs] = dt * B
    generator[states : states + inputs, states + inputs :] = torch.eye(inputs)
    row = torch.linalg.matrix_exp(generator)[:states]
    A_bar, first, second = row.split((states, inputs, inputs), dim=1)
    return A_bar, first if method == "zoh" else torch.stack([first - second, second])


def _diagonal_loop(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float | None
) -> tuple[Tensor, Tensor]:
    """Every eigenvalue as a system of its own; the holds by the exponential of a 3 x 3
    matrix."""
    dt = dt[..., None]
    z = dt * A
    if alpha is not None:
        return (1 + (1 - alpha) * z) / (1 - alpha * z), dt * B / (1 - alpha * z)
    zero, one = torch.zeros_like(z), torch.ones_like(z)
    rows = ((z, one, zero), (zero, zero, one), (zero, zero, zero))
    generator = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    A_bar, first, second = torch.linalg.matrix_exp(generator)[..., 0, :].unbind(-1)
    if method == "zoh":
        return A_bar, dt * first * B
    return A_bar, torch.stack([dt * (first - second) * B, dt * second * B])


def _ordinary_step(letters: str) -> Distribution:
    return uniform(0.1, 1.5, letters)


def _ordinary_rate(letters: str) -> Distribution:
    return uniform(0.2, 3.0, letters)


def _tiny_step(letters: str) -> Distribution:
    return log_uniform(1e-3, 1e-2, letters)


def _huge_rate(letters: str) -> Distribution:
    return log_uniform(1e2, 1e4, letters)


def _some_steps(rare: float) -> Draw:
    return lambda letters: every_third(constant(rare, letters), _ordinary_step(letters))


def _some_rates(rare: Draw) -> Draw:
    return lambda letters: every_third(rare(letters), _ordinary_rate(letters))


def _diagonal_sample(
    name: str,
    method: str,
    *,
    imaginary: bool,
    varying: bool,
    hard: bool = False,
    step: Draw = _ordinary_step,
    rate: Draw = _ordinary_rate,
    undamped: bool = False,
) -> Sample:
    """Eigenvalues that decay at ``rate``, and when ``imaginary`` turn as well; dt and B
    per channel, or ``varying`` in time as in Mamba."""
    A = -rate("DN") * (1 + 1j * normal("DN")) if imaginary else -rate("DN")
    arguments: Arguments = {
        "A": 10j * normal("DN") if undamped else A,
        "B": normal("BL1N" if varying else "DN", imaginary),
        "dt": step("BLD" if varying else "D"),
        "method": method,
        "diagonal": True,
    }
    if method == "gbt":
        arguments["alpha"] = 0.3
    kind = "complex" if imaginary else "real"
    form = "varying dt" if varying else "dt per channel"
    return Sample(f"{name}: {method}, {kind}, {form}", arguments, hard)


_HARD: dict[str, dict[str, Any]] = {
    "some dt = 0": {"step": _some_steps(0.0)},
    "some dt = 1e3": {"step": _some_steps(1e3)},
    "tiny dt": {"step": _tiny_step},
    "some A = 0": {"rate": _some_rates(lambda letters: constant(0.0, letters))},
    "some dt |A| huge": {"rate": _some_rates(_huge_rate)},
}

_DIAGONAL_SAMPLES = (
    *(
        _diagonal_sample("ordinary", method, imaginary=imaginary, varying=varying)
        for method in METHODS
        for imaginary in (False, True)
        for varying in (False, True)
    ),
    *(
        _diagonal_sample(
            name, method, imaginary=imaginary, varying=True, hard=True, **options
        )
        for name, options in _HARD.items()
        for method in ("bilinear", "zoh", "foh")
        for imaginary in (False, True)
    ),
    *(
        _diagonal_sample(
            "A imaginary, some dt = 100",
            method,
            imaginary=True,
            varying=False,
            hard=True,
            step=_some_steps(100.0),
            undamped=True,
        )
        for method in ("zoh", "foh")
    ),
)


def _dense_sample(
    name: str,
    method: str,
    system: System,
    *,
    hard: bool = False,
    step: Draw = _ordinary_step,
) -> Sample:
    A, B = system
    arguments: Arguments = {"A": A, "B": B, "dt": step("BL"), "method": method}
    if method == "gbt":
        arguments["alpha"] = 0.3
    return Sample(f"{name}: {method}", arguments, hard)


def _random_system(imaginary: bool) -> System:
    """Eigenvalues in the left half plane, two units from its edge or so."""
    A = normal("NN", imaginary) * matrix(lambda N: np.full((N, N), N**-0.5))
    return A - 2 * matrix(np.eye), normal("ND", imaginary)


_DOUBLE_INTEGRATOR = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.0, 1.0])
_LEGS = hippo_transition("legs", 32)

_DENSE_SAMPLES = (
    *(
        _dense_sample(
            f"random, {'complex' if imaginary else 'real'}",
            method,
            _random_system(imaginary),
        )
        for method in METHODS
        for imaginary in (False, True)
    ),
    *(
        _dense_sample(name, method, system, hard=True, step=step)
        for name, system, step in (
            ("double integrator", _DOUBLE_INTEGRATOR, _ordinary_step),
            ("HiPPO-LegS, N = 32", _LEGS, _ordinary_step),
            ("HiPPO-LegS, N = 32, some dt = 1e3", _LEGS, _some_steps(1e3)),
            ("real, some dt = 0", _random_system(False), _some_steps(0.0)),
            ("real, tiny dt", _random_system(False), _tiny_step),
            # A single small matrix is a case of its own in torch.matrix_exp.
            ("real, one tiny dt", _random_system(False), lambda _: _tiny_step("1")),
        )
        for method in ("bilinear", "zoh", "foh")
    ),
    _dense_sample(
        "complex, some dt = 1e3",
        "zoh",
        _random_system(True),
        hard=True,
        step=_some_steps(1e3),
    ),
)

_MAMBA = Workload(
    # As it initializes them: A = -1, ..., -N in every channel, dt from 1e-3 to 1e-1.
    "Mamba",
    {
        "A": -(index("DN") + 1),
        "B": normal("BL1N"),
        "dt": log_uniform(1e-3, 1e-1, "BLD"),
        "diagonal": True,
    },
    (torch.float32, torch.bfloat16),
    full_precision=("dt",),
)

_S4D = Workload(
    # S4D-Lin: A = -1/2 + i pi n in every channel, one dt a channel.
    "S4D",
    {
        "A": 1j * np.pi * index("DN") - 0.5,
        "B": normal("DN", imaginary=True),
        "dt": log_uniform(1e-3, 1e-1, "D"),
        "diagonal": True,
    },
    (torch.complex64,),
)

_LEGS_DENSE = Workload(
    # One dt a channel; as many inputs as states, so that B_bar, which the gradient of B
    # comes from, has the shape of A_bar.
    "HiPPO-LegS",
    {
        "A": matrix(lambda N: hippo_transition("legs", N)[0]),
        "B": normal("NN"),
        "dt": log_uniform(1e-3, 1e-1, "D"),
    },
    (torch.float32, torch.float64),
)


def _outputs(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """The numbers in A_bar and in B_bar."""
    A, B, dt = (tuple(arguments[key].shape) for key in ("A", "B", "dt"))
    if arguments.get("diagonal", False):
        first = np.broadcast_shapes(A, (*dt, 1))
        second = np.broadcast_shapes(first, B)
    else:
        first, second = (*dt, *A), (*dt, *B)
    holds = 2 if arguments.get("method", "zoh") == "foh" else 1
    return int(np.prod(first)), holds * int(np.prod(second))


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads the arguments and writes A_bar and B_bar; backward reads the
    arguments and the gradients of these and writes those of the arguments."""
    A, B, dt = (arguments[key] for key in ("A", "B", "dt"))
    inputs = A.nbytes + B.nbytes + dt.nbytes
    A_bar, B_bar = _outputs(arguments)
    outputs = A_bar * A.itemsize + B_bar * max(A.itemsize, B.itemsize)
    return inputs + outputs, 2 * inputs + outputs


def _diagonal_operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Of zero-order hold away from z = 0, with e^z and a division counted as one
    multiplication: z, e^z, (e^z - 1) / z, dt and B; backward again, and the products of
    equation 5.14."""
    elements = _outputs(arguments)[0]
    A = arguments["A"]
    imaginary = A.is_complex() if isinstance(A, Tensor) else np.iscomplexobj(A)
    multiply, add = (6, 2) if imaginary else (1, 1)
    return elements * (5 * multiply + add), elements * (12 * multiply + 6 * add)


def _dense_operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Of one product of (N, N) matrices for every dt, the least that an exponential
    takes; two of them backward."""
    states = arguments["A"].shape[0]
    product = int(np.prod(arguments["dt"].shape)) * 2 * states**3
    return product, 2 * product


DISCRETIZE = Pairing(
    equation="A_bar, B_bar = e^{dt A}, dt phi_1(dt A) B",
    chapter=5,
    op=ops.discretize,
    reference=reference.discretize,
    loop=_loop,
    outputs=("A_bar", "B_bar"),
    differentiable=("A", "B", "dt"),
    full_precision=("dt",),
    samples=_DIAGONAL_SAMPLES,
    kinds=(
        "ordinary: zoh, real, varying dt",
        "ordinary: foh, complex, dt per channel",
        "ordinary: gbt, complex, varying dt",
    ),
    sizes={
        "portable": (sizes(2, 3, 5, states=4), sizes(1, 5, 3, states=1)),
        "interpreter": (sizes(1, 3, 5, states=2),),
        "cuda": (
            sizes(2, 3, 5, states=4),
            sizes(1, 5, 3, states=1),
            sizes(2, 97, 130, states=16),
            sizes(2, 50, 33, states=100),
            sizes(1, 7, 3, states=256),
        ),
    },
    carry=sizes(2, 300, 130, states=16),
    workloads=(_MAMBA, _S4D),
    workload_sizes={
        "cuda": (sizes(8, 2048, 1024, states=16),),
        "cpu": (sizes(1, 256, 32, states=16),),
    },
    fewest_bytes=_bytes,
    operations=_diagonal_operations,
    results=2,
    linear={"B_bar": ("B",)},
    any_shape=("A", "B", "dt"),
)

DISCRETIZE_DENSE = Pairing(
    equation="[[A_bar, B_bar], [0, 1]] = exp(dt [[A, B], [0, 0]])",
    chapter=5,
    op=ops.discretize,
    reference=reference.discretize,
    loop=_loop,
    outputs=("A_bar", "B_bar"),
    differentiable=("A", "B", "dt"),
    full_precision=("dt",),
    samples=_DENSE_SAMPLES,
    kinds=("random, real: zoh", "random, complex: bilinear"),
    sizes={
        "portable": (
            sizes(2, 3, 2, states=4),
            sizes(1, 2, 1, states=1),
        )
    },
    carry=None,
    workloads=(_LEGS_DENSE,),
    workload_sizes={
        "cuda": (sizes(1, 1, 1024, states=64),),
        "cpu": (sizes(1, 1, 64, states=64),),
    },
    fewest_bytes=_bytes,
    operations=_dense_operations,
    results=2,
    linear={"B_bar": ("B",)},
    any_shape=("dt",),
)
