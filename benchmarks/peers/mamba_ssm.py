"""state-spaces/mamba: the CUDA kernels of the selective scan, (batch, channels, length), with Euler's step for B.

They know no first state, and no gradient through the last one.
"""

from torch import Tensor

from seqlab.benchmark import Absent, Call, Implementation
from seqlab.catalogue import Arguments

OVER_TIME = ("u", "delta", "B", "C", "z")
LEAVES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def _prepare(arguments: Arguments) -> Call:
    if not arguments["u"].is_cuda:
        raise Absent("needs a CUDA GPU")
    if arguments["A"].is_complex():
        raise Absent("is compared for a real A only")
    if arguments.get("state") is not None:
        raise Absent("knows no first state")
    if arguments.get("discretization", "euler") != "euler":
        raise Absent("takes Euler's step for B only")
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    names = [name for name in LEAVES if arguments.get(name) is not None]
    softplus = arguments.get("delta_softplus", False)

    def forward(*leaves: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, leaves, strict=True))
        return (selective_scan_fn(**given, delta_softplus=softplus),)

    def gradients(found: tuple[Tensor, ...]) -> dict[str, Tensor]:
        named = zip(names, found, strict=True)
        return {name: x.mT.contiguous() if name in OVER_TIME else x for name, x in named}

    return Call(
        leaves=tuple(
            arguments[name].mT.contiguous() if name in OVER_TIME else arguments[name] for name in names
        ),
        forward=forward,
        output=lambda outputs: outputs[0].mT.contiguous(),
        cotangents=lambda cotangent: (cotangent.mT.contiguous(),),
        gradients=gradients,
    )


PEERS = [Implementation("mamba-ssm (CUDA)", "selective_scan", _prepare)]
