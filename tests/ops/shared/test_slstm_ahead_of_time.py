"""On a chip with room for R, sLSTM's kernels keep it, within the shared memory that there is."""

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_triton(), reason="no Triton")]


@pytest.mark.parametrize(
    ("capability", "kib", "width", "dtype"),
    [(86, 99, 64, torch.bfloat16), (90, 227, 64, torch.float32), (90, 227, 128, torch.bfloat16)],
)
def test_kernels_keep_the_matrices_where_they_fit(capability, kib, width, dtype, monkeypatch):
    from launches import recorded

    from seqlab.ops.xlstm.slstm import kernel

    monkeypatch.setattr(kernel, "room_of", lambda device: 1024 * kib)
    with recorded() as launches:
        gates = torch.empty(2, 3, 4, 2, width, dtype=dtype, requires_grad=True)
        R = torch.empty(4, 2, width, width, dtype=dtype)
        h, _ = ops.slstm(gates, R)
        torch.autograd.grad(h, gates, torch.empty_like(h))
    assert {launch.name for launch in launches} == {"forward_kernel", "backward_kernel"}
    for launch in launches:
        known = {name: value for name, _, value in launch.signature}
        assert known["KEPT"] is True
        assert launch.compile(capability).metadata.shared <= 1024 * kib
