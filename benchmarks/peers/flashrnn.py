"""flashrnn: sLSTM by the authors of xLSTM, one Triton kernel that walks over time, (batch, length, gate, heads,
features).

It holds n to at least 1, which it is in any case where there is no first state.
"""

from torch import Tensor

from seqlab.benchmark import Absent, Call, Implementation

NAMES = ("gates", "R", "b")


def _prepare(arguments: dict[str, Tensor]) -> Call:
    gates = arguments["gates"]
    if not gates.is_cuda:
        raise Absent("needs a CUDA GPU")
    if "c" in arguments or arguments.get("forget", "sigmoid") != "sigmoid" or "b" not in arguments:
        raise Absent("is compared without a first state, with sigmoid forget gates and with a bias")
    from flashrnn.flashrnn import flashrnn

    dtype = str(gates.dtype).removeprefix("torch.")

    def forward(*leaves: Tensor) -> tuple[Tensor, ...]:
        return (flashrnn(*leaves, function="slstm", backend="triton_fused", dtype=dtype)[0],)

    def of_states(h: Tensor) -> Tensor:
        """The gradient of all four of its states, of which the first is h."""
        states = h.new_zeros((4, *h.shape))
        states[0] = h
        return states

    return Call(
        leaves=tuple(arguments[name] for name in NAMES),
        forward=forward,
        output=lambda outputs: outputs[0][0],
        cotangents=lambda h: (of_states(h),),
        gradients=lambda found: dict(zip(NAMES, found, strict=True)),
    )


PEERS = [Implementation("flashrnn, triton_fused", "slstm", _prepare)]
