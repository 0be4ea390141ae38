"""Ops on complex numbers stay right where PyTorch ignores the bit that marks a tensor as conjugated.

Compiled code of torch 2.11 calls registered ops with the handler of that bit switched off: ``x.conj() * y`` inside
one then gives ``x * y``.
"""

import numpy as np
import pytest
import torch

from seqlab.catalogue import PAIRINGS

CONJUGATE = torch._C.DispatchKeySet(torch._C.DispatchKey.Conjugate)
SAMPLES = [
    pytest.param(name, number, backend, id=f"{name}: {sample.name}, {backend}")
    for name, pairing in PAIRINGS.items()
    for number, sample in enumerate(pairing.samples)
    for backend in ("portable", "triton")
    if sample.imaginary and not sample.hard and "interpreter" in pairing.sizes
    if backend == "portable"
    or (sample.has_kernel and sample.name in pairing.kinds)  # each way through the op
]


def test_switching_the_handler_off_drops_conjugates():
    x = torch.tensor([1 + 2j])
    with torch._C._ExcludeDispatchKeyGuard(CONJUGATE):
        dropped = x.conj() * 1
        kept = torch.conj_physical(x) * 1
    assert torch.equal(dropped, x)
    assert torch.equal(kept, x.conj())


@pytest.mark.parametrize(("name", "number", "backend"), SAMPLES)
def test_gradients_do_not_rest_on_the_conjugate_bit(name, number, backend):
    pairing = PAIRINGS[name]
    sizes = {**pairing.sizes["interpreter"][0], "length": 4}
    drawn = pairing.samples[number].draw(np.random.default_rng(0), sizes)
    arguments = {
        key: torch.from_numpy(value).to(torch.complex64 if np.iscomplexobj(value) else torch.float32)
        if isinstance(value, np.ndarray)
        else value
        for key, value in drawn.items()
    }
    names = [key for key in pairing.differentiable if key in arguments]

    def gradients():
        leaves = [arguments[key].clone().requires_grad_() for key in names]
        outputs = pairing.op(**{**arguments, **dict(zip(names, leaves, strict=True))}, backend=backend)
        return torch.autograd.grad(outputs, leaves, [torch.ones_like(x) for x in outputs])

    expected = gradients()
    with torch._C._ExcludeDispatchKeyGuard(CONJUGATE):
        found = gradients()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
