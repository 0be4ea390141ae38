"""PyTorch's own convolutions, as peers: each computes the op beside which it is timed, gradients included."""

import pytest
import torch

import seqlab
from seqlab.benchmark import Absent
from seqlab.benchmark.problem import truth
from seqlab.catalogue import PAIRINGS, sizes


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.peers import torch_convolutions

    return torch_convolutions.PEERS


@pytest.mark.parametrize("op", ["shift_ssm", "h3", "flashconv", "hyena"])
def test_a_peer_computes_the_op(op, peers):
    own = [peer for peer in peers if peer.op == op]
    assert own
    for workload in PAIRINGS[op].workloads:
        generator = torch.Generator().manual_seed(0)
        arguments = workload.draw(generator, sizes(2, 57, 4, states=3), torch.float32)
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


@pytest.mark.parametrize("op", ["shift_ssm", "h3", "flashconv"])
def test_a_peer_that_takes_no_state_says_so(op, peers):
    arguments = dict.fromkeys(PAIRINGS[op].states, torch.ones(1))
    for peer in peers:
        if peer.op == op:
            with pytest.raises(Absent, match="takes no state"):
                peer.prepare(arguments)
