"""Other people's kernels, each behind the interface that ``seqlab.benchmark`` times.

One module per library. An adapter prepares the inputs in the layout its kernel wants, so no conversion is
timed, and raises ``Absent`` with the reason where the kernel does not compute what is asked.
"""

from benchmarks.peers import (
    accelerated_scan,
    cudnn,
    flash_linear_attention,
    flashrnn,
    jax_linear_attention,
    mamba_ssm,
    mlstm_kernels,
    torch_associative_scan,
    torch_convolutions,
    torch_kernels,
)

PEERS = [
    *accelerated_scan.PEERS,
    *cudnn.PEERS,
    *flash_linear_attention.PEERS,
    *flashrnn.PEERS,
    *jax_linear_attention.PEERS,
    *mamba_ssm.PEERS,
    *mlstm_kernels.PEERS,
    *torch_associative_scan.PEERS,
    *torch_convolutions.PEERS,
    *torch_kernels.PEERS,
]
