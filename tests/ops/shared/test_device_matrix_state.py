"""What ops with a matrix for a state share on a GPU: the tokens of a chunk in either direction, the states between
chunks, and products of tiles."""

import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.device.matrix_state import Shape, carry, chunk_coordinates, new_summaries, product, split
from seqlab.ops.interpreter import runner


@pytest.mark.parametrize("chunks", [2, 3, 4, 5, 8])
def test_summaries_become_the_states_after_each_chunk(chunks):
    generator = torch.Generator().manual_seed(0)
    summaries, decays = new_summaries(torch.ones(()), Shape(2, 99, 3, 4, 5, chunks))
    summaries.copy_(torch.randn(summaries.shape, generator=generator))
    decays.copy_(torch.rand(decays.shape, generator=generator))
    state, expected = torch.zeros(2, 3, 4, 5), []
    for local, decay in zip(summaries, decays, strict=True):
        state = decay[..., None] * state + local
        expected.append(state)
    carry(summaries, decays)
    torch.testing.assert_close(summaries, torch.stack(expected))


@triton.jit
def visit_kernel(order_ptr, turns_ptr, batch, length, heads, chunks, REVERSED: tl.constexpr):
    block, head, turn, chunk, steps, begin, step = chunk_coordinates(
        batch, length, heads, chunks, 2, REVERSED, 4
    )
    for i in range(steps):
        tl.store(order_ptr + (begin + i * step) * 2 + block, turn * 4 + i)
    tl.store(turns_ptr + (chunk * batch * heads + head) * 2 + block, turn)


@pytest.mark.parametrize("reverse", [False, True])
def test_chunks_cover_every_step_of_every_head_once_in_either_direction(reverse):
    batch, length, heads, chunks = 2, 11, 3, 3
    order = torch.full((batch, length, heads, 2), -1)
    turns = torch.full((chunks, batch * heads, 2), -1)
    runner(visit_kernel, order)[(chunks * batch * heads * 2,)](
        order, turns, batch, length, heads, chunks, reverse
    )
    forward = list(range(11))
    backward = [
        10 - t + 1 if t < 8 else 10 - t for t in range(11)
    ]  # the last chunk, the first turn, has 3 steps
    expected = torch.tensor(backward if reverse else forward)[None, :, None, None].expand_as(order)
    assert torch.equal(order, expected)
    counted = torch.arange(3).flip(0) if reverse else torch.arange(3)
    assert torch.equal(turns, counted[:, None, None].expand_as(turns))


@triton.jit
def split_kernel(x_ptr, high_ptr, low_ptr, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    high, low = split(tl.load(x_ptr + i))
    tl.store(high_ptr + i, high)
    tl.store(low_ptr + i, low)


def test_a_number_is_the_sum_of_two_of_which_tf32_has_the_first():
    x = torch.randn(64, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.arange(-32, 32)
    high, low = torch.empty(2, 64)
    runner(split_kernel, x)[(1,)](x, high, low, 64)
    assert torch.equal(high + low, x)
    assert ((high.view(torch.int32) & 0x1FFF) == 0).all()
    assert (low.abs() < x.abs() * 2.0**-10).all()


@triton.jit
def product_kernel(x_ptr, y_ptr, xy_ptr, SIZE: tl.constexpr, TURNED: tl.constexpr, WHOLE: tl.constexpr):
    place = tl.arange(0, SIZE)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    x, y = tl.load(x_ptr + place), tl.load(y_ptr + place)
    xy = tl.trans(product(tl.trans(y), tl.trans(x), WHOLE=WHOLE)) if TURNED else product(x, y, WHOLE=WHOLE)
    tl.store(xy_ptr + place, xy)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("beside", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("dtype", "whole", "bound"),
    [(None, False, 3e-7), (torch.float32, False, 4e-6), (torch.float32, True, 3e-7)],
)
def test_products_have_the_digits_of_their_tiles(dtype, whole, bound, beside, turned):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(16, 16, generator=generator).to(each) for each in (dtype or beside, beside))
    found = torch.empty(16, 16)
    runner(product_kernel, x)[(1,)](x, y, found, 16, turned, whole)
    x, y = x.double(), y.double()
    assert ((found - x @ y).abs() / (x.abs() @ y.abs())).max() < bound


@triton.jit
def round_kernel(x_ptr, rounded_ptr, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(rounded_ptr + i, tl.load(x_ptr + i).to(tl.bfloat16))


def test_the_interpreter_rounds_to_bfloat16_as_a_gpu_does():
    x = torch.randn(64, generator=torch.Generator().manual_seed(0))
    x[:4] = torch.tensor([float("inf"), float("nan"), 1 + 2.0**-8, 1 + 3 * 2.0**-8])  # two ties
    rounded = torch.empty(64, dtype=torch.bfloat16)
    runner(round_kernel, x)[(1,)](x, rounded, 64)
    torch.testing.assert_close(rounded, x.to(torch.bfloat16), rtol=0, atol=0, equal_nan=True)
