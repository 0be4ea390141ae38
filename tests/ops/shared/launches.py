"""The launches of kernels that an op makes for CUDA tensors, recorded without a GPU, and compiled ahead of time.

Tensors lie on PyTorch's meta device, where they have shapes and dtypes but no numbers, and say that they are on a
GPU. So the op's own launchers choose grids and tilings as they would there, and what they hand to Triton is kept.
"""

import inspect
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from math import prod
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from triton import compile
from triton._C.libtriton import ir
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction

from seqlab.catalogue import Workload
from seqlab.ops import kept
from seqlab.ops.device import head_decay
from seqlab.ops.ssm.convolution import plan

GPU = torch.device("cuda", 0)
TYPES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}
TYPES |= {torch.int32: "i32", torch.int64: "i64"}
ALIGNED = "16 divides"
WIDE = 4096  # times the channels or heads of a workload, so that offsets pass 32 bits


class OnGPU(TorchFunctionMode):
    """While this holds, new tensors have no numbers, and say that they are on a GPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in SAID and args[0].is_meta:
            return SAID[function]
        kwargs = {key: without_numbers(value) for key, value in (kwargs or {}).items() if key != "generator"}
        return function(*map(without_numbers, args), **kwargs)


SAID = {Tensor.device.__get__: GPU, Tensor.is_cuda.__get__: True, Tensor.is_meta.__get__: False}


def without_numbers(value):
    """A device as the one where tensors have no numbers; anything else as it is."""
    is_place = isinstance(value, torch.device | str) and str(value).startswith(("cuda", "cpu"))
    return torch.device("meta") if is_place else value


class GeneratorOnGPU(torch.Generator):
    """Says that it is on a GPU. No number is drawn from it."""

    device = GPU


@dataclass(frozen=True)
class Launch:
    """One variant of a kernel: what Triton would compile it for."""

    kernel: JITFunction
    signature: tuple
    """Of each parameter its name, its type, and what is known of its value: a constant, or that 16 divides it."""
    options: tuple

    @property
    def name(self):
        return self.kernel.fn.__name__

    @property
    def types(self):
        return {type for _, type, _ in self.signature}

    @property
    def tile(self):
        """How many numbers a program holds, more or less: the product of its constants."""
        constants = [known for _, type, known in self.signature if type == "constexpr"]
        return prod(known for known in constants if known.__class__ is int and known)

    @property
    def has_one(self):
        """Whether a number that is known at run time alone is 1, which Triton compiles in."""
        at_run_time = {parameter.name for parameter in self.kernel.params if not parameter.is_constexpr}
        return any(known == 1 for name, _, known in self.signature if name in at_run_time)

    @property
    def source(self):
        constants = {name: known for name, type, known in self.signature if type == "constexpr"}
        signature = {name: type for name, type, _ in self.signature}
        aligned = [i for i, (_, type, known) in enumerate(self.signature) if type != "constexpr" and known]
        attributes = {(i,): [["tt.divisibility", 16]] for i in aligned}
        return ASTSource(self.kernel, signature=signature, constexprs=constants, attrs=attributes)

    def compile(self, capability):
        """The compiled kernel for a GPU of that compute capability."""
        return compile(self.source, target=GPUTarget("cuda", capability, 32), options=dict(self.options))

    def check_types(self, capability):
        """The first stage of compiling alone, where types have to fit: a twentieth of the time."""
        target = GPUTarget("cuda", capability, 32)
        backend, context = make_backend(target), ir.context()
        ir.load_dialects(context)
        backend.load_dialects(context)
        options = backend.parse_options(dict(self.options))
        functions, modules = backend.get_codegen_implementation(options), backend.get_module_map()
        taken = len(inspect.signature(self.source.make_ir).parameters)  # Triton 3.4 takes no target
        self.source.make_ir(*(target, options, functions, modules, context)[-taken:])


@contextmanager
def recorded(grids=None, capability=90):
    """A list that fills with what is launched in this context, on a GPU of that compute capability, each variant once.
    ``grids``, a list too, fills with the name and the grid of every launch."""
    launches = []

    def record(kernel, *args, grid, warmup, **kwargs):
        launch = seen(kernel, args, kwargs)
        if grids is not None:
            grids.append((launch.name, grid))
        if launch not in launches:
            launches.append(launch)

    def make(make, device):
        with torch.device("meta"), OnGPU():
            return make()

    def run_backward(*args, **kwargs):  # called in torch.autograd.grad, where the mode outside does not hold
        with torch.device("meta"), OnGPU():
            return engine(*args, **kwargs)

    engine, from_numpy, here = torch.autograd._engine_run_backward, torch.from_numpy, nullcontext()
    with (
        patch.object(JITFunction, "run", record),
        patch.object(torch.autograd, "_engine_run_backward", run_backward),
        patch.object(torch, "from_numpy", lambda x: from_numpy(x).to("meta")),
        patch.object(kept, "BUDGET", 2**40),
        patch.object(kept, "_kept", {}),
        patch.object(kept, "_make", make),
        patch.object(torch.cuda, "current_device", lambda: 0),
        patch.object(plan, "takes_tf32", lambda _: capability >= 80),
        patch.object(head_decay, "takes_tf32", lambda _: capability >= 80),
        patch.object(torch.cuda, "is_current_stream_capturing", lambda: False),
        patch.object(torch.cuda, "device", lambda _: here),
        patch.object(torch._C, "_cuda_getCurrentRawStream", lambda _: 0, create=True),
        torch.device("meta"),
        OnGPU(),
    ):
        yield launches


def seen(kernel, args, kwargs):
    """What Triton looks at in the arguments of a launch."""
    parameters = kernel.params
    values = dict(zip([parameter.name for parameter in parameters], args, strict=False))
    values |= {key: kwargs.pop(key) for key in list(kwargs) if key in {p.name for p in parameters}}
    signature = tuple((p.name, *looked_at(p, values[p.name])) for p in parameters)
    return Launch(kernel, signature, tuple(sorted(kwargs.items())))


def looked_at(parameter, value):
    """An argument's type, and what is known of its value."""
    if parameter.is_constexpr or value is None:
        return "constexpr", value
    if isinstance(value, Tensor):
        offset = value.storage_offset() * value.itemsize
        return f"*{TYPES[value.dtype]}", ALIGNED if offset % 16 == 0 else None
    if isinstance(value, bool):
        return "i1", None
    if isinstance(value, float):
        return "fp32", None
    if parameter.do_not_specialize:
        return ("i32" if -(2**31) <= value < 2**31 else "i64"), None
    if value == 1:
        return "constexpr", 1
    return ("i32" if -(2**31) <= value < 2**31 else "i64"), ALIGNED if value % 16 == 0 else None


def launches_of(pairing, drawn, grids=None, capability=90):
    """Every variant that an op of the catalogue launches for these arguments, forward, where nothing is kept for a
    gradient too, and backward."""
    with recorded(grids, capability) as launches:
        # A launcher sees no numbers, so two samples of the same shapes and dtypes are launched alike.
        for arguments in {looks(each): each for each in drawn}.values():
            inputs = [x.requires_grad_() for key, x in arguments.items() if key in pairing.differentiable]
            with torch.no_grad():
                pairing.op(**arguments)
            outputs = pairing.op(**arguments)
            for received in (
                outputs,
                outputs[: pairing.results],
            ):  # with gradients of the states, and without
                grads = [torch.empty_like(y) for y in received]
                torch.autograd.grad(received, inputs, grads, retain_graph=True, allow_unused=True)
    return launches


def looks(arguments):
    """What can be told of arguments without their numbers."""
    return tuple(
        (key, (value.shape, value.dtype) if isinstance(value, Tensor) else value)
        for key, value in arguments.items()
    )


def every_arguments(pairing):
    """Of the samples that stand for a way through the kernels, and of the workloads, at every size in every dtype."""
    for sample in pairing.samples:
        if sample.name in pairing.kinds and sample.has_kernel:
            dtypes = (
                (torch.complex64,) if sample.imaginary else (torch.float32, torch.float16, torch.bfloat16)
            )
            full_precision = pairing.full_precision + sample.full_precision
            drawn = Workload(sample.name, sample.arguments, dtypes, full_precision)
            yield drawn.draw(GeneratorOnGPU(), {**pairing.carry, **sample.sizes}, dtypes[0])
            for sizes in pairing.sizes["cuda"]:
                yield from (
                    drawn.draw(GeneratorOnGPU(), {**sizes, **sample.sizes}, dtype) for dtype in dtypes
                )
    for workload in pairing.workloads:
        for sizes in pairing.workload_sizes["cuda"]:
            axis = "channels" if "channels" in sizes else "heads"
            for wide in (sizes, {**sizes, axis: WIDE * sizes[axis]}):
                yield from (workload.draw(GeneratorOnGPU(), wide, dtype) for dtype in workload.dtypes)


def arguments_of_size_one(pairing):
    """Of the same samples at the sizes of ``carry``, with each choice of them 1 in turn."""
    choices = product(*((size, 1) for size in pairing.carry.values()))
    yield from arguments_at(pairing, [dict(zip(pairing.carry, each, strict=True)) for each in choices])


def arguments_at(pairing, all_sizes):
    """Of the same samples at each of these sizes."""
    for sample in pairing.samples:
        if sample.name in pairing.kinds and sample.has_kernel:
            dtype = torch.complex64 if sample.imaginary else torch.float32
            full_precision = pairing.full_precision + sample.full_precision
            drawn = Workload(sample.name, sample.arguments, (dtype,), full_precision)
            for sizes in all_sizes:
                yield drawn.draw(GeneratorOnGPU(), {**sizes, **sample.sizes}, dtype)
