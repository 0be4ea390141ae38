"""mlstm_kernels: the xLSTM authors' chunkwise kernels in Triton, (batch, heads, length, features).

Their backward pass takes the normaliser for a constant, so that its gradients are those of another function, which
their error shows.
"""

from torch import Tensor

from seqlab.benchmark import Absent, Call, Implementation

NAMES = ("q", "k", "v", "i", "f")


def _heads_first(x: Tensor) -> Tensor:
    return x.transpose(1, 2).contiguous()


def _prepare(arguments: dict[str, Tensor]) -> Call:
    q = arguments["q"]
    if not q.is_cuda:
        raise Absent("needs a CUDA GPU")
    if "C" in arguments:
        raise Absent("is compared without a first state")
    from mlstm_kernels.torch.chunkwise.triton_xl_chunk import mlstm_chunkwise__xl_chunk

    def forward(*leaves: Tensor) -> tuple[Tensor, ...]:
        return (mlstm_chunkwise__xl_chunk(*leaves, chunk_size=128, autocast_kernel_dtype=q.dtype),)

    return Call(
        leaves=tuple(_heads_first(arguments[name]) for name in NAMES),
        forward=forward,
        output=lambda outputs: _heads_first(outputs[0]),
        cotangents=lambda h: (_heads_first(h),),
        gradients=lambda found: dict(zip(NAMES, map(_heads_first, found), strict=True)),
    )


PEERS = [Implementation("mlstm_kernels, xl_chunk", "mlstm", _prepare)]
