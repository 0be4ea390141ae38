"""PyTorch's own convolutions, of cuFFT and of cuDNN: the window of a few taps, long kernels, and H3 and Hyena, which
are composed of them.

Inputs are (batch, channels, length), contiguous, as these convolutions want them. The long kernel of a system, H3's
too, is made by this package's ``ssm_kernel``, as PyTorch has none for it.
"""

from typing import Any

from torch import Tensor
from torch.fft import irfft, rfft
from torch.nn.functional import conv1d, pad

from seqlab import ops
from seqlab.benchmark import Absent, Call, Implementation

MOST_TAPS = 64


def by_transform(x: Tensor, K: Tensor) -> Tensor:
    """x (B, D, L) and K (D, M), padded so that nothing comes round."""
    length = x.shape[-1]
    wide = x.to(K.dtype)
    return irfft(rfft(wide, n=2 * length) * rfft(K, n=2 * length), n=2 * length)[..., :length].to(x.dtype)


def by_taps(x: Tensor, taps: Tensor) -> Tensor:
    count = taps.shape[1]
    return conv1d(pad(x, (count - 1, 0)), taps.flip(1)[:, None].to(x.dtype), groups=len(taps))


def _time_last(x: Tensor) -> Tensor:
    return x.mT.contiguous()


def prepare_h3(arguments: dict[str, Any], window: Any, convolved: Any) -> Call:
    """H3 of a window of a few taps, and a convolution with as many taps as times."""
    if {"window", "memory", "head_dim"} & set(arguments):
        raise Absent("takes no state and heads of one channel alone")
    names = ("q", "k", "v", "shift", "A_bar", "B_bar", "C", "D_skip")
    inputs = [arguments[name] for name in names]

    def forward(
        q: Tensor, k: Tensor, v: Tensor, shift: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor
    ) -> tuple[Tensor, ...]:
        kv = window(k, shift) * v
        K = ops.ssm_kernel(A, B, C, q.shape[-1])
        return (q * (convolved(kv, K) + D[:, None] * kv).to(q.dtype),)

    def gradients(found: tuple[Tensor, ...]) -> dict[str, Tensor]:
        turned = [x.mT for x in found[:3]]
        return dict(zip(names, [*turned, *found[3:]], strict=True))

    return Call(
        leaves=(*map(_time_last, inputs[:3]), *inputs[3:]),
        forward=forward,
        output=lambda outputs: outputs[0].mT,
        cotangents=lambda y: (_time_last(y),),
        gradients=gradients,
    )


def _prepare_window(arguments: dict[str, Any]) -> Call:
    if "state" in arguments:
        raise Absent("takes no state")
    return Call(
        leaves=(_time_last(arguments["k"]), arguments["taps"]),
        forward=lambda k, taps: (by_taps(k, taps),),
        output=lambda outputs: outputs[0].mT,
        cotangents=lambda y: (_time_last(y),),
        gradients=lambda found: {"k": found[0].mT, "taps": found[1]},
    )


def prepare_convolution(arguments: dict[str, Any], taken: Any) -> Call:
    """With taps that are given, or with those of a system."""
    if "state" in arguments:
        raise Absent("takes no state")
    names = [name for name in ("u", "K", "K_or_ssm", "A_bar", "B_bar", "C") if name in arguments]
    if taken is by_taps and arguments[names[1]].shape[1] > MOST_TAPS:
        raise Absent("takes a product for each tap, of which there are too many")

    def forward(u: Tensor, *kernel: Tensor) -> tuple[Tensor, ...]:
        if len(kernel) == 1:
            return (taken(u, kernel[0]),)
        A, B, C = kernel
        return (taken(u, ops.ssm_kernel(A, B, C, u.shape[-1])),)

    return Call(
        leaves=(_time_last(arguments["u"]), *(arguments[name] for name in names[1:])),
        forward=forward,
        output=lambda outputs: outputs[0].mT,
        cotangents=lambda y: (_time_last(y),),
        gradients=lambda found: dict(zip(names, [found[0].mT, *found[1:]], strict=True)),
    )


def _prepare_hyena(arguments: dict[str, Any]) -> Call:
    gates, filters = (sorted(name for name in arguments if name.startswith(x)) for x in ("gates", "filters"))
    names = ["v", *gates, *filters]

    def forward(v: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        for gate, taps in zip(others[: len(gates)], others[len(gates) :], strict=True):
            v = gate * by_transform(v, taps)
        return (v,)

    def gradients(found: tuple[Tensor, ...]) -> dict[str, Tensor]:
        turned = [x.mT for x in found[: 1 + len(gates)]]
        return dict(zip(names, [*turned, *found[1 + len(gates) :]], strict=True))

    return Call(
        leaves=(
            *(_time_last(arguments[name]) for name in ["v", *gates]),
            *(arguments[name] for name in filters),
        ),
        forward=forward,
        output=lambda outputs: outputs[0].mT,
        cotangents=lambda y: (_time_last(y),),
        gradients=gradients,
    )


PEERS = [
    Implementation("torch conv1d", "shift_ssm", _prepare_window),
    Implementation("composed of torch.fft", "h3", lambda x: prepare_h3(x, by_transform, by_transform)),
    Implementation("composed of torch.fft and conv1d", "h3", lambda x: prepare_h3(x, by_taps, by_transform)),
    Implementation("torch.fft", "flashconv", lambda x: prepare_convolution(x, by_transform)),
    Implementation("torch.fft", "ssm_convolution", lambda x: prepare_convolution(x, by_transform)),
    Implementation("torch.fft", "causal_convolution", lambda x: prepare_convolution(x, by_transform)),
    Implementation("torch conv1d", "causal_convolution", lambda x: prepare_convolution(x, by_taps)),
    Implementation("composed of torch.fft", "hyena", _prepare_hyena),
]
