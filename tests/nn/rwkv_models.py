"""The sizes of RWKV in its tests, and weights as after training."""

import torch
from torch import nn

WIDTH, INNER, DEPTH, VOCABULARY = 6, 5, 3, 11
HEADED = {"inner": 16, "heads": 2}  # of eight features: the norm of a head of few makes much of a rounding


def same(one, other, **tolerances):
    torch.testing.assert_close(one, other, **tolerances)


def randomized(module):
    """Nothing at a special value, as after training."""
    torch.manual_seed(0)
    for name, p in module.named_parameters():
        if name.endswith("mu"):
            nn.init.uniform_(p)
        elif p.ndim == 2:
            nn.init.normal_(p, std=1.5 * p.shape[1] ** -0.5)
        elif not name.endswith("decay"):
            p.data += 0.3 * torch.randn_like(p)
    return module
