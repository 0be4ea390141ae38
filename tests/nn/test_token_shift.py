"""The token shift: the papers' equation and code, states, steps, and what is wrong."""

import pytest
import torch
from rwkv_models import same
from torch import nn

from seqlab.nn import TokenShift


def test_token_shift_is_a_causal_convolution_of_two_taps():
    torch.manual_seed(0)
    shift, u = TokenShift(4).double(), torch.randn(2, 7, 4, dtype=torch.float64)
    nn.init.uniform_(shift.mu)
    kernel = torch.stack((1 - shift.mu, shift.mu), dim=1)[:, None]
    true = nn.functional.conv1d(nn.functional.pad(u.mT, (1, 0)), kernel, groups=4).mT
    y, last = shift(u)
    same(y, true)
    same(last, u[:, -1])


def test_token_shift_is_what_the_papers_code_pads():
    """ZeroPad2d((0, 0, 1, -1)) moves every token one place on."""
    torch.manual_seed(0)
    shift, u = TokenShift(4), torch.randn(2, 7, 4)
    before = nn.ZeroPad2d((0, 0, 1, -1))(u)
    same(shift(u)[0], u * shift.mu + before * (1 - shift.mu))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_token_shift_goes_on_from_its_state_and_by_steps(dtype):
    torch.manual_seed(0)
    shift, u = TokenShift(4).to(dtype), torch.randn(2, 7, 4).to(dtype)
    nn.init.uniform_(shift.mu)
    whole, last = shift(u)
    assert last.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    state = None
    for t in range(7):
        y_t, state = shift.step(u[:, t], state)
        same(y_t, whole[:, t])
    first, state = shift(u[:, :3])
    second, state = shift(u[:, 3:], state)
    same(torch.cat((first, second), dim=1), whole)
    same(state, last)
    places = {x.untyped_storage().data_ptr() for x in (u, y_t, second, state, last)}
    assert len(places) == 5


def test_token_shift_names_what_is_wrong():
    shift, u = TokenShift(4), torch.randn(2, 7, 4)
    for call in (lambda: shift(u[..., :3]), lambda: shift(u[0]), lambda: shift.step(u)):
        with pytest.raises(ValueError, match=r"^u(_t)?: expected shape"):
            call()
    with pytest.raises(TypeError, match=r"state: expected dtype torch\.float32"):
        shift(u, torch.zeros(2, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="state: expected shape"):
        shift.step(u[:, 0], torch.zeros(3, 4))
    for wrong in (0, 4.0):
        with pytest.raises((ValueError, TypeError), match="width: expected"):
            TokenShift(wrong)
