"""What ops with a matrix for a state share on a GPU: the tokens of a chunk in either direction, the parts of time, the
states between them, and products of tiles."""

import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.device.matrix_state import (
    carry,
    coordinates,
    cut,
    parts_of,
    product,
    split,
    steps_of_chunk,
)
from seqlab.ops.interpreter import runner


@pytest.mark.parametrize("parts", [2, 3, 4, 5, 8])
def test_summaries_become_the_states_after_each_part(parts):
    generator = torch.Generator().manual_seed(0)
    summaries = torch.randn(parts, 2, 3, 4, 5, generator=generator)
    decays = torch.rand(parts, 2, 3, 4, generator=generator)
    state, expected = torch.zeros(2, 3, 4, 5), []
    for local, decay in zip(summaries, decays, strict=True):
        state = decay[..., None] * state + local
        expected.append(state)
    carry(summaries, decays)
    torch.testing.assert_close(summaries, torch.stack(expected))


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("programs", [1, 5, 40, 200])
def test_parts_have_every_chunk_once_and_none_is_empty(programs, on_gpu):
    for chunks in range(1, 200):
        parts, span = parts_of(chunks, programs, on_gpu)
        assert (parts - 1) * span < chunks <= parts * span
        assert parts == 1 or not on_gpu or (parts * programs <= 132 and span >= 16)


@triton.jit
def visit_kernel(order_ptr, turns_ptr, batch, length, heads, chunks, REVERSED: tl.constexpr):
    block, head, turn = coordinates(batch, heads, 2)
    chunk = chunks - 1 - turn if REVERSED else turn
    steps, begin, step = steps_of_chunk(head, chunk, length, heads, REVERSED, 4)
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
def parts_kernel(x_ptr, parts_ptr, SIZE: tl.constexpr, TF32: tl.constexpr):
    i = tl.arange(0, SIZE)
    parts = cut(tl.load(x_ptr + i), 13) if TF32 else split(tl.load(x_ptr + i), tl.bfloat16, True)
    for n in tl.static_range(len(parts)):
        tl.store(parts_ptr + n * SIZE + i, parts[n])


def numbers_of_all_sizes():
    return torch.randn(64, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.arange(-28, 36)


def test_a_number_is_the_sum_of_two_of_which_tf32_has_the_first():
    x = numbers_of_all_sizes()
    high, low = parts = torch.empty(2, 64)
    runner(parts_kernel, x)[(1,)](x, parts, 64, True)
    assert torch.equal(high + low, x)
    assert ((high.view(torch.int32) & 0x1FFF) == 0).all()
    assert (low.abs() <= x.abs() * 2.0**-11).all()


def test_a_number_is_the_sum_of_three_of_bfloat16():
    x = numbers_of_all_sizes()
    parts = torch.empty(3, 64, dtype=torch.bfloat16)
    runner(parts_kernel, x)[(1,)](x, parts, 64, False)
    assert torch.equal(parts.double().sum(0), x.double())
    assert (parts[1].abs() <= x.abs() * 2.0**-8).all()


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


@triton.jit
def product_of_floats_kernel(x_ptr, y_ptr, xy_ptr, like_ptr, SIZE: tl.constexpr):
    place = tl.arange(0, SIZE)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    x, y = tl.load(x_ptr + place), tl.load(y_ptr + place)
    tl.store(xy_ptr + place, product(x, y, beside=like_ptr.dtype.element_ty))


@pytest.mark.parametrize(
    ("beside", "bound"), [(torch.float32, 3e-7), (torch.float16, 3e-7), (torch.bfloat16, 2.0**-16)]
)
def test_products_of_floats_have_the_digits_that_inputs_beside_them_ask_for(beside, bound):
    x, y = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0))
    found = torch.empty(16, 16)
    runner(product_of_floats_kernel, x)[(1,)](x, y, found, torch.empty(1, dtype=beside), 16)
    x, y = x.double(), y.double()
    assert ((found - x @ y).abs() / (x.abs() @ y.abs())).max() < bound
