"""What the chunked convolution's speed rests on, counted where its kernels are compiled for an H100."""

import re

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")


@pytest.fixture(scope="module", params=(torch.float32, torch.bfloat16), ids=("float32", "bfloat16"))
def compiled(request):
    """The assembly of every variant of the kernels that forward and backward passes take."""
    from launches import recorded

    with recorded() as launches:
        u = torch.empty(8, 2048, 1024, dtype=request.param).requires_grad_()
        system = [torch.empty(1024, 32, dtype=torch.complex64).requires_grad_() for _ in range(3)]
        y, _ = ops.ssm_convolution(*system, u)
        torch.autograd.grad(y, [u, *system], torch.empty_like(y))
    names = "transpose_kernel", "walk_kernel", "correlation_kernel"
    return {
        name: [launch.compile(90).asm["sass"] for launch in launches if launch.name == name] for name in names
    }


def inside_of_loop(assembly):
    from assembly import inner_loops, instructions_of

    (loop,) = inner_loops(assembly)
    return instructions_of(assembly)[slice(*loop)]


def test_transpositions_move_sixteen_bytes_at_a_time(compiled):
    from assembly import instructions_of

    assert compiled["transpose_kernel"]
    for assembly in compiled["transpose_kernel"]:
        moves = [each for each in instructions_of(assembly) if "LDG" in each or "STG" in each]
        assert moves
        assert all(".128" in each for each in moves)


@pytest.mark.parametrize("name", ["walk_kernel", "correlation_kernel"])
def test_walks_hardly_move_numbers_between_registers(compiled, name):
    """They did so for each operand of a product, where the compiler laid float32 numbers out for 16 bits."""
    assert compiled[name]
    for assembly in compiled[name]:
        inside = inside_of_loop(assembly)
        assert any("HMMA" in each for each in inside)
        moves = [each for each in inside if "MOV" in each.split()[0]]
        assert len(moves) < len(inside) / 10


def test_walks_hardly_read_shared_numbers_one_at_a_time(compiled):
    """They did so for each table whose times, which products sum over, were not neighbors in memory: without the
    mirrored table a walk of float32 numbers takes a twentieth longer, on an H200. (The correlations do so still: with
    that table they have an eighth fewer instructions, and are slower.)"""
    for assembly in compiled["walk_kernel"]:
        inside = inside_of_loop(assembly)
        assert any("LDSM" in each for each in inside)
        single = [each for each in inside if re.search(r"LDS ", each)]
        assert len(single) < len(inside) / 10
