"""The watch over memory, under which verification interprets kernels: it sees what one does beside its tensors."""

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.interpreter import runner
from seqlab.ops.sanitizer import watched


@triton.jit
def copy_kernel(x_ptr, y_ptr, shift, read, written, BLOCK: tl.constexpr):
    """y = x, of which ``read`` numbers are read from ``shift`` on and ``written`` are written."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + shift + i, mask=i < read, other=0.0)
    tl.store(y_ptr + shift + i, x, mask=i < written)


@triton.jit
def unmasked_kernel(x_ptr, y_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(y_ptr + i, tl.load(x_ptr + i))


@triton.jit
def count_kernel(x_ptr, place):
    tl.atomic_add(x_ptr + place, 1)


def copied(shift=0, read=10, written=10):
    x = torch.arange(10.0)
    y = torch.empty(10)
    runner(copy_kernel, x)[(3,)](x, y, shift, read, written, BLOCK=4)
    return y


def test_what_stays_inside_passes():
    with watched():
        assert torch.equal(copied(), torch.arange(10.0))
        x = torch.zeros(4, dtype=torch.int32)
        runner(count_kernel, x)[(3,)](x, 3)
        assert x.tolist() == [0, 0, 0, 3]


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ({"read": 11}, "a load of 1 numbers .*, one 0 bytes past the end of x_ptr"),
        ({"read": 12}, "a load of 2 numbers"),
        ({"written": 11}, "a store of 1 numbers"),
        ({"shift": -1}, "a load of 1 numbers .*, one 4 bytes before x_ptr"),
        ({"shift": 2**20}, "a load of 4 numbers"),
    ],
)
def test_one_number_too_many_is_seen(planted, message):
    with watched(), pytest.raises(Exception, match=message):
        copied(**planted)


def test_a_missing_mask_is_seen():
    x, y = torch.zeros(7), torch.zeros(7)
    with watched(), pytest.raises(Exception, match="a load of 1 numbers"):
        runner(unmasked_kernel, x)[(1,)](x, y, BLOCK=8)


def test_an_atomic_beside_its_tensor_is_seen():
    x = torch.zeros(4, dtype=torch.int32)
    with watched(), pytest.raises(Exception, match="an atomic of 1 numbers"):
        runner(count_kernel, x)[(1,)](x, 4)


def test_a_view_is_no_wider_than_it_is():
    """The memory around it belongs to others."""
    x, y = torch.arange(20.0)[5:15], torch.zeros(20)[5:15]
    with watched():
        runner(copy_kernel, x)[(3,)](x, y, 0, 10, 10, BLOCK=4)
        with pytest.raises(Exception, match="a load of 1 numbers"):
            runner(copy_kernel, x)[(3,)](x, y, 0, 11, 10, BLOCK=4)


def test_what_is_not_written_is_nan():
    with watched():
        assert copied(written=7).isnan().tolist() == [False] * 7 + [True] * 3


def test_a_kernel_of_an_op_that_reads_beside_its_tensors_is_seen(monkeypatch):
    """The scan, told of one channel more than there is."""
    from seqlab.ops.linear_scan import kernel

    plan = kernel.plan_launch
    monkeypatch.setattr(kernel, "plan_launch", lambda *shape: plan(*shape)._replace(width=3))
    a, b = torch.rand(1, 4, 2), torch.randn(1, 4, 2)
    with watched(), pytest.raises(Exception, match=r"a load of \d numbers beside"):
        ops.linear_scan(a, b, backend="triton")
