"""PyTorch's own convolutions, and kernels as one would write them in it, as peers: each computes the op beside which it
is timed, gradients included."""

import pytest
import torch

import seqlab
from seqlab.benchmark import Absent
from seqlab.benchmark.problem import truth
from seqlab.catalogue import PAIRINGS, sizes


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.peers import torch_convolutions, torch_kernels

    return [*torch_convolutions.PEERS, *torch_kernels.PEERS]


# The expressions for kernels in float64, as powers and quotients lose digits in float32.
DTYPES = dict.fromkeys(
    ("shift_ssm", "h3", "flashconv", "hyena", "causal_convolution", "ssm_convolution"), torch.float32
)
DTYPES |= dict.fromkeys(("ssm_kernel", "dplr_kernel"), torch.float64)


@pytest.mark.parametrize(("op", "dtype"), DTYPES.items())
def test_a_peer_computes_the_op(op, dtype, peers):
    own = [peer for peer in peers if peer.op == op]
    assert own
    for workload in PAIRINGS[op].workloads:
        generator = torch.Generator().manual_seed(0)
        arguments = workload.draw(generator, sizes(2, 57, 4, states=3), dtype)
        cotangent, true = truth(PAIRINGS[op], arguments, generator)
        for peer in own:
            call = peer.prepare(arguments)
            leaves = [x.detach().requires_grad_() for x in call.leaves]
            outputs = call.forward(*leaves)
            found = call.gradients(torch.autograd.grad(outputs, leaves, call.cotangents(cotangent)))
            found["output"] = call.output(outputs).detach()
            assert found.keys() == true.keys()
            for name, x in found.items():
                assert (x - true[name]).norm() < 1e-6 * true[name].norm(), (peer.name, workload.name, name)


@pytest.mark.parametrize("op", ["shift_ssm", "h3", "flashconv", "ssm_convolution"])
def test_a_peer_that_takes_no_state_says_so(op, peers):
    arguments = dict.fromkeys(PAIRINGS[op].states, torch.ones(1))
    for peer in peers:
        if peer.op == op:
            with pytest.raises(Absent, match="takes no state"):
                peer.prepare(arguments)


def test_a_product_for_each_tap_is_no_way_to_convolve_thousands(peers):
    (peer,) = (peer for peer in peers if (peer.op, peer.name) == ("causal_convolution", "torch conv1d"))
    with pytest.raises(Absent, match="too many"):
        peer.prepare({"u": torch.ones(1, 200, 2), "K": torch.ones(2, 200)})
