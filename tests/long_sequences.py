"""A hundred thousand steps, a length that no chunk divides: what comes back with every chunk has come back often."""

import torch
from op_calls import arguments_of, noise_like, values_and_gradients
from torch import Tensor

from seqlab.catalogue import PAIRINGS, sizes
from seqlab.verify.errors import GRADIENT_BOUNDS, VALUE_BOUNDS, error_in
from seqlab.verify.truth import as_array

LONG = sizes(1, 100_003, 2, states=3, heads=1, keys=2, values=2)
SAMPLES = [
    ("linear_scan", "|a| near 1: complex, fixed, reversed"),
    ("linear_scan", "|a| = 1: real, varying"),
    ("ssm_scan", "|a| near 1: complex, varying"),
    ("ssm_scan", "tiny dt: complex, fixed, no state"),
    ("ssm_convolution", "|a| near 1: complex, fixed"),
    ("ssm_convolution", "|a| = 1: complex, fixed"),
    ("ssm_convolution", "tiny dt: complex, fixed, no state"),
    ("ssm_mimo", "|a| near 1: complex, reversed"),
    ("ssm_kernel", "|A_bar| near 1: complex"),
    ("dplr_kernel", "moderate dt"),
    ("causal_convolution", "a few taps"),
    ("shift_ssm", "four taps"),
    ("h3", "|a| near 1: complex"),
    ("flashconv", "a system, |a| near 1: complex"),
    ("flashconv", "many taps"),
    ("linear_attention", "features"),
    ("wkv", "w = 0"),
    ("wkv", "w near 0"),
    ("wkv", "w = 1e3"),
    ("wkv", "k = +-200"),
    ("wkv", "k far below the state"),
    ("gated_linear_attention", "no decay"),
    ("gated_linear_attention", "decays near 1"),
    ("gated_linear_attention", "a fixed decay a channel, bonus"),
    ("mlstm", "gates of +-60"),
    ("mlstm", "hardly anything is forgotten"),
    ("selective_scan", "all of it"),
    ("selective_scan", "complex A"),
]
ON_A_GPU_TOO = [  # of which PyTorch's form takes the same way as above, or every step by itself
    ("mlstm", "i = -200"),
    ("slstm", "sigmoid"),
    ("selective_scan", "zero-order hold"),
    ("selective_scan", "dt = 0"),
    ("selective_scan", "some dt = 1e3"),
    ("selective_scan", "A_log = 10"),
]


def drawn(name, sample):
    """The arguments in float32, and the same numbers in float64."""
    arguments = arguments_of(PAIRINGS[name], sample, LONG)
    return arguments, {key: widened(value) for key, value in arguments.items()}


def widened(value):
    return value.to(torch.promote_types(value.dtype, torch.float64)) if isinstance(value, Tensor) else value


def check(name, sample, device="cpu"):
    """Values and gradients on the device, in float32, against the portable form in float64."""
    pairing = PAIRINGS[name]
    arguments, exact = drawn(name, sample)
    with torch.no_grad():
        sent = [noise_like(y, seed) for seed, y in enumerate(pairing.op(**arguments))]
    there = {
        key: value.to(device) if isinstance(value, Tensor) else value for key, value in arguments.items()
    }
    found = values_and_gradients(pairing, there, cotangents=[c.to(device) for c in sent])
    true = values_and_gradients(pairing, exact, cotangents=list(map(widened, sent)))
    gradients = [f"grad {key}" for key in pairing.differentiable if key in arguments]
    for quantity, x, y in zip([*pairing.outputs, *gradients], found, true, strict=True):
        bound = (GRADIENT_BOUNDS if quantity in gradients else VALUE_BOUNDS)["float32"]
        assert error_in(x.dtype, as_array(x), as_array(y)) <= bound, quantity
