"""Launches of compiled kernels: each must run what Triton would compile for its arguments."""

from contextlib import contextmanager
from itertools import product
from types import SimpleNamespace

import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import make_backend
from triton.runtime.jit import create_function_from_signature

from seqlab.ops.launch import Launcher

GRID = (3, 2)
BACKEND = make_backend(GPUTarget("cuda", 90, 32))


@triton.jit(do_not_specialize=["length"])
def copy_kernel(x_ptr, y_ptr, scale, width, length, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    """Only its parameters are looked at."""


class Kernel:
    """A kernel that is compiled into what Triton says of the arguments, and not run by Triton."""

    def __init__(self):
        self.params, self.__name__ = copy_kernel.params, "copy_kernel"
        self.compiled = 0
        self.launches = []
        self.bind = create_function_from_signature(copy_kernel.signature, copy_kernel.params, BACKEND)

    def seen(self, *args, **options):
        """What Triton looks at in the arguments: types, constants, and what it knows of the rest."""
        values, known, options = self.bind(*args, **options)
        constants = [
            value for value, each in zip(values.values(), known, strict=True) if each[0] == "constexpr"
        ]
        return str(known), str(constants), str(options)

    def __getitem__(self, grid):
        def compile_and_run(*args, **options):
            self.compiled += 1
            seen = self.seen(*args, **options)

            def run(*launch):
                self.launches.append((seen, launch))

            return SimpleNamespace(run=run, function="function", packed_metadata="metadata")

        return compile_and_run


@pytest.fixture
def current(monkeypatch):
    """The number of the device that is current, in a list, and of those that were made so."""
    devices = [0]

    @contextmanager
    def device(number):
        devices.insert(0, number)
        yield
        devices.append(devices.pop(0))

    monkeypatch.setattr(torch.cuda, "current_device", lambda: devices[0])
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda number: 7 + number, raising=False)
    return devices


@pytest.fixture
def kernel():
    return Kernel()


def launcher_of(kernel, number=0):
    return Launcher(kernel, torch.device("cuda", number))


def tensor(offset=0, dtype=torch.float32):
    return torch.zeros(64, dtype=dtype)[offset:]


ARGUMENTS = [
    (x, y, scale, width, length, BLOCK)
    for x, y, scale, width, length, BLOCK in product(
        (tensor(), tensor(1), tensor(4), tensor(dtype=torch.bfloat16)),
        (None, tensor(), tensor(3)),
        (1.0, 0.5),
        (1, 2, 16, 48, 2**31, 2**31 + 1),
        (1, 16, 2**31 - 1, 2**31),
        (8, 16),
    )
]


@pytest.mark.parametrize("turns", [1, -1], ids=["in order", "backwards"])
def test_every_launch_runs_what_triton_compiles_for_it(kernel, current, turns):
    launcher = launcher_of(kernel)
    for args in ARGUMENTS[::turns]:
        launcher[GRID](*args, EVEN=False, num_warps=4)  # compiled, if not like one before
        launcher[GRID](*args, EVEN=False, num_warps=4)
        seen, _ = kernel.launches[-1]
        assert seen == kernel.seen(*args, EVEN=False, num_warps=4)


def test_options_are_told_apart(kernel, current):
    launcher = launcher_of(kernel)
    args = (tensor(), tensor(), 1.0, 2, 3, 8)
    for options in ({"num_warps": 4}, {"num_warps": 8}, {"num_warps": 4, "num_stages": 8}):
        for EVEN in (True, False):
            launcher[GRID](*args, EVEN=EVEN, **options)
            launcher[GRID](*args, EVEN=EVEN, **options)
            assert kernel.launches[-1][0] == kernel.seen(*args, EVEN=EVEN, **options)


def test_a_launch_that_is_known_gets_addresses_grid_and_stream(kernel, current):
    launcher = launcher_of(kernel)
    x = tensor()
    for y in (tensor(), tensor(4)):
        launcher[GRID](x, y, 0.5, 2, 3, 8, EVEN=True)
    assert kernel.compiled == 1
    [(_, launch)] = kernel.launches
    nobody = (None, None, None)
    assert launch == (
        *(3, 2, 1, 7, "function", "metadata"), *nobody, x.data_ptr(), y.data_ptr(), 0.5, 2, 3, 8, None
    )  # fmt: skip


def test_a_complex_tensor_is_launched_for_its_real_numbers(kernel, current):
    launcher = launcher_of(kernel)
    z, rest = torch.zeros(64, dtype=torch.complex64), (None, 0.5, 2, 3, 8)
    for x in (z, z, z[1:]):  # a number further on, no multiple of 16 bytes is
        launcher[GRID](x, *rest, EVEN=True)
        launcher[GRID](x, *rest, EVEN=True)
        seen, launch = kernel.launches[-1]
        assert seen == kernel.seen(torch.view_as_real(x), *rest, EVEN=True)
        assert launch[9] == x.data_ptr()
    assert kernel.compiled == 2


def test_lengths_share_what_is_compiled(kernel, current):
    launcher = launcher_of(kernel)
    for length in range(1, 40):
        launcher[GRID](tensor(), None, 0.5, 2, length, 8, EVEN=True)
    assert kernel.compiled == 1


def test_a_launch_makes_the_device_of_its_tensors_current(kernel, current):
    launcher = launcher_of(kernel, 1)
    for _ in range(2):
        launcher[GRID](tensor(), None, 0.5, 2, 3, 8, EVEN=True)
    [(_, launch)] = kernel.launches
    assert launch[3] == 8  # the stream of device 1
    assert current == [0, 1, 1]  # twice, and left again


@pytest.mark.parametrize("name", ["launch_enter_hook", "launch_exit_hook"])
def test_who_listens_to_launches_hears_them(kernel, current, monkeypatch, name):
    launcher = launcher_of(kernel)
    launch = (tensor(), None, 0.5, 2, 3, 8)
    launcher[GRID](*launch, EVEN=True)
    with monkeypatch.context() as patch:
        patch.setattr(knobs.runtime, name, lambda metadata: None)
        launcher[GRID](*launch, EVEN=True)
    assert kernel.compiled == 2  # Triton's own way, on which hooks are called
    launcher[GRID](*launch, EVEN=True)
    assert kernel.compiled == 2


def test_what_triton_did_not_compile_is_not_remembered(kernel, current, monkeypatch):
    monkeypatch.setattr(Kernel, "__getitem__", lambda self, grid: lambda *args, **options: None)
    launcher = launcher_of(kernel)
    launcher[GRID](tensor(), None, 0.5, 2, 3, 8, EVEN=True)
    assert not launcher.variants


def test_constants_come_last(kernel, current):
    """A constant amid arguments of run-time would be taken for one of them, and its value not be looked at."""
    kernel.params = [*kernel.params[:4], *kernel.params[5:], kernel.params[4]]
    with pytest.raises(TypeError, match="copy_kernel: expected parameters of run-time before constants"):
        launcher_of(kernel)


def test_only_constants_go_by_name(kernel, current):
    with pytest.raises(TypeError, match="copy_kernel: expected constants alone by name"):
        launcher_of(kernel)[GRID](tensor(), None, 0.5, 2, length=3, BLOCK=8, EVEN=True)


def test_changing_sizes_fill_no_memory(kernel, current, monkeypatch):
    monkeypatch.setattr("seqlab.ops.launch.MOST", 10)
    launcher = launcher_of(kernel)
    for width in range(2, 40):
        launcher[GRID](tensor(), None, 0.5, width, 3, 8, EVEN=True)
        assert len(launcher.variants) <= 10
