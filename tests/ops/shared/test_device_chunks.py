"""What recurrences over time share on a GPU: their tiles, the states between them, and what is combined."""

import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.device import chunks as device_chunks
from seqlab.ops.device.chunks import plan_launches, scan_states, scan_summaries, tile_coordinates
from seqlab.ops.device.combines import AFFINE, AFFINE_COMPLEX, AFFINE_EACH, AFFINE_SHEAR, LOG_ADD, WEIGHTED
from seqlab.ops.interpreter import runner


def affine(first, second):
    (b1, a1), (b2, a2) = first, second
    return a2 * b1 + b2, a2 * a1


def log_add(first, second):
    (m1, w1), (m2, w2) = first, second
    return torch.logaddexp(m1 - w2, m2), w1 + w2


def affine_shear(first, second):
    """Matrices [[a, 0, b], [s, a, c], [0, 0, 1]], multiplied."""
    (b1, c1, a1, s1), (b2, c2, a2, s2) = first, second
    return a2 * b1 + b2, s2 * b1 + a2 * c1 + c2, a2 * a1, s2 * a1 + a2 * s1


def affine_each(first, second):
    (b0, b1, a0, a1), (d0, d1, c0, c1) = first, second
    return c0 * b0 + d0, c1 * b1 + d1, c0 * a0, c1 * a1


def affine_complex(first, second):
    b, a = torch.complex(*first[:2]), torch.complex(*first[2:])
    d, c = torch.complex(*second[:2]), torch.complex(*second[2:])
    return (c * b + d).real, (c * b + d).imag, (c * a).real, (c * a).imag


def weighted(first, second):
    (a1, b1, m1, w1), (a2, b2, m2, w2) = first, second
    m = torch.maximum(m1 - w2, m2)
    p, q = torch.exp(m1 - w2 - m), torch.exp(m2 - m)
    return p * a1 + q * a2, p * b1 + q * b2, m, w1 + w2


COMBINES = [
    (AFFINE, affine),
    (AFFINE_SHEAR, affine_shear),
    (AFFINE_EACH, affine_each),
    (AFFINE_COMPLEX, affine_complex),
    (LOG_ADD, log_add),
    (WEIGHTED, weighted),
]
every_combine = pytest.mark.parametrize(("combine", "plainly"), COMBINES)


@every_combine
@pytest.mark.parametrize("chunks", [1, 3, 4, 5, 13])
def test_summaries_become_their_prefixes(combine, plainly, chunks):
    numbers = len(combine.neutral)
    summaries = torch.rand(numbers, chunks, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = [summaries[:, 0]]
    for chunk in range(1, chunks):
        expected.append(torch.stack(plainly(expected[-1], summaries[:, chunk])))
    scan_summaries(summaries, combine)
    torch.testing.assert_close(summaries, torch.stack(expected, dim=1))


def states_after(made, A_bar, steps):
    """Pairs (2, chunks, B, D, PAIRS) of what chunks make of nothing, as states in float64: chunk after chunk."""
    batch, width, pairs = made.shape[2:]
    if A_bar.is_complex():
        numbers, wide = torch.complex(*made.double()), A_bar.to(torch.complex128)
        decay = torch.zeros(width, pairs, dtype=torch.complex128)
    else:
        numbers, wide = made.double().movedim(0, -1).flatten(-2), A_bar.double()
        decay = torch.zeros(width, 2 * pairs, dtype=torch.float64)
    decay[:, : A_bar.shape[1]] = wide**steps
    x, states = torch.zeros(batch, *decay.shape, dtype=decay.dtype), []
    for each in numbers:
        x = decay * x + each
        states.append(x)
    states = torch.stack(states)
    if A_bar.is_complex():
        return torch.stack([states.real, states.imag])
    return states.unflatten(-1, (pairs, 2)).movedim(-1, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("chunks", [1, 3, 4, 5, 13])
def test_what_chunks_make_of_nothing_becomes_states(dtype, chunks):
    generator = torch.Generator().manual_seed(0)
    modes, pairs = (3, 2) if dtype == torch.float32 else (3, 4)
    A_bar = 0.5 * torch.randn(3, modes, generator=generator, dtype=dtype)
    made = torch.randn(2, chunks, 2, 3, pairs, generator=generator)
    expected = states_after(made, A_bar, 4).float()
    scan_states(made, A_bar, 4)
    torch.testing.assert_close(made, expected)


def test_a_fixed_decay_does_not_err_more_from_chunk_to_chunk(monkeypatch):
    """Tiled as on a GPU. A chunk's decay that was rounded to float32 would be wrong by 5e-5 after 1500 chunks, all in
    one direction."""
    monkeypatch.setattr(device_chunks, "carry_tiling", lambda chunks, compiled: (64, 2, 1))
    generator = torch.Generator().manual_seed(0)
    modulus = 1 - 5e-7 - 4.5e-6 * torch.rand(1, 4, generator=generator)
    A_bar = torch.polar(modulus, 6.283 * torch.rand(1, 4, generator=generator))
    made = torch.zeros(2, 1500, 1, 1, 4)
    made[0, 0] = 1
    expected = states_after(made, A_bar, 64)
    scan_states(made, A_bar, 64)
    error = torch.linalg.vector_norm(made - expected, dim=0) / torch.linalg.vector_norm(expected, dim=0)
    assert error.max() < 3e-6


@triton.jit
def combine_kernel(
    first_ptr, second_ptr, joined_ptr, COMBINE: tl.constexpr, NUMBERS: tl.constexpr, SIZE: tl.constexpr
):
    i = tl.arange(0, SIZE)
    first, second = (), ()
    for number in tl.static_range(NUMBERS):
        first = first + (tl.load(first_ptr + number * SIZE + i),)  # noqa: RUF005
        second = second + (tl.load(second_ptr + number * SIZE + i),)  # noqa: RUF005
    joined = COMBINE(*first, *second)
    for number in tl.static_range(NUMBERS):
        tl.store(joined_ptr + number * SIZE + i, joined[number])


def join(combine, first, second):
    joined = torch.empty_like(first)
    runner(combine_kernel, first)[(1,)](first, second, joined, combine.combine, *first.shape)
    return joined


@every_combine
def test_what_is_combined_is_associative_and_has_a_neutral_element(combine, plainly):
    """The interpreter folds from left to right, and could not tell."""
    numbers = len(combine.neutral)
    x, y, z = torch.rand(3, numbers, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(join(combine, join(combine, x, y), z), join(combine, x, join(combine, y, z)))
    torch.testing.assert_close(join(combine, x, y), torch.stack(plainly(x, y)))
    neutral = torch.tensor(combine.neutral)[:, None].expand(numbers, 16).contiguous()
    torch.testing.assert_close(join(combine, neutral, x), x)
    torch.testing.assert_close(join(combine, x, neutral), x)


@triton.jit
def visit_kernel(visits_ptr, turns_ptr, batch, length, width, chunks, REVERSED: tl.constexpr):
    turn, chunk, left, begin, channel, states = tile_coordinates(batch, length, width, chunks, REVERSED, 4, 2)
    for k in tl.static_range(4):
        here = visits_ptr + begin + k * width
        mask = (channel < width) & (k < left)
        tl.store(here, tl.load(here, mask=mask, other=0) + 1, mask=mask)
    tl.store(turns_ptr + chunk * batch * width + states, turn, mask=channel < width)


@pytest.mark.parametrize("reverse", [False, True])
def test_tiles_cover_everything_once_and_turns_count_from_either_end(reverse):
    batch, _, width = shape = 2, 11, 3
    plan = plan_launches(torch.Size(shape), 4, 2)
    visits, turns = torch.zeros(shape, dtype=torch.int64), torch.zeros(3, batch, width, dtype=torch.int64)
    runner(visit_kernel, visits)[plan.grid](visits, turns, *plan.sizes, reverse)
    assert (visits == 1).all()
    assert turns[:, 0, 0].tolist() == ([2, 1, 0] if reverse else [0, 1, 2])
    assert (turns == turns[:, :1, :1]).all()


def test_one_chunk_needs_no_launch_before_the_last():
    assert plan_launches(torch.Size((2, 128, 300)), 128, 128).all_but_one == (0,)
    assert plan_launches(torch.Size((2, 129, 300)), 128, 128).all_but_one == (6,)
