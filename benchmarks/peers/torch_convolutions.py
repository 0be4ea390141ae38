"""PyTorch's own convolutions, of cuFFT and of cuDNN: the window of a few taps, and H3 composed of both kinds.

Inputs are (batch, channels, length), contiguous, as these convolutions want them. H3's long kernel is made by this
package's ``ssm_kernel``, as PyTorch has none for it.
"""

from typing import Any

from torch import Tensor
from torch.fft import irfft, rfft
from torch.nn.functional import conv1d, pad

from seqlab import ops
from seqlab.benchmark import Absent, Call, Implementation


def _by_transform(x: Tensor, K: Tensor) -> Tensor:
    """x (B, D, L) and K (D, M), padded so that nothing comes round."""
    length = x.shape[-1]
    wide = x.to(K.dtype)
    return irfft(rfft(wide, n=2 * length) * rfft(K, n=2 * length), n=2 * length)[..., :length].to(x.dtype)


def _by_taps(x: Tensor, taps: Tensor) -> Tensor:
    count = taps.shape[1]
    return conv1d(pad(x, (count - 1, 0)), taps.flip(1)[:, None].to(x.dtype), groups=len(taps))


def _time_last(x: Tensor) -> Tensor:
    return x.mT.contiguous()


def _prepare_h3(arguments: dict[str, Any], window: Any) -> Call:
    if {"window", "memory", "head_dim"} & set(arguments):
        raise Absent("takes no state and heads of one channel alone")
    names = ("q", "k", "v", "shift", "A_bar", "B_bar", "C", "D_skip")
    inputs = [arguments[name] for name in names]

    def forward(
        q: Tensor, k: Tensor, v: Tensor, shift: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor
    ) -> tuple[Tensor, ...]:
        kv = window(k, shift) * v
        K = ops.ssm_kernel(A, B, C, q.shape[-1])
        return (q * (_by_transform(kv, K) + D[:, None] * kv).to(q.dtype),)

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
        forward=lambda k, taps: (_by_taps(k, taps),),
        output=lambda outputs: outputs[0].mT,
        cotangents=lambda y: (_time_last(y),),
        gradients=lambda found: {"k": found[0].mT, "taps": found[1]},
    )


PEERS = [
    Implementation("torch conv1d", "shift_ssm", _prepare_window),
    Implementation("composed of torch.fft", "h3", lambda x: _prepare_h3(x, _by_transform)),
    Implementation("composed of torch.fft and conv1d", "h3", lambda x: _prepare_h3(x, _by_taps)),
]
