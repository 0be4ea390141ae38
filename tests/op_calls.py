"""How tests over the catalogue call an op: its arguments as tensors, its values with their gradients, and the calls of
registered ops that PyTorch makes of one."""

import functools

import numpy as np
import torch
from torch import Tensor, fx
from torch._dynamo.backends.common import aot_autograd
from torch.utils._pytree import tree_map_only


def arguments_of(pairing, kind, sizes, dtype=torch.float32, device="cpu"):
    """The arguments of the sample of that name, its arrays as tensors of a real dtype or of its complex partner."""
    (sample,) = (sample for sample in pairing.samples if sample.name == kind)
    drawn = sample.draw(np.random.default_rng(0), sizes)
    return tree_map_only(
        np.ndarray,
        lambda x: torch.from_numpy(x).to(device, dtype.to_complex() if np.iscomplexobj(x) else dtype),
        drawn,
    )


def letters_of(pairing, kind):
    """The letters of each tensor's axes, of those that the sample writes in letters."""
    (sample,) = (sample for sample in pairing.samples if sample.name == kind)
    return {key: value.letters for key, value in sample.arguments.items() if hasattr(value, "letters")}


def tensors_in(arguments):
    return {key: value for key, value in arguments.items() if isinstance(value, Tensor)}


def with_leaves(pairing, arguments):
    """The arguments with those that have gradients as new leaves, and these leaves by name."""
    leaves = {
        key: arguments[key].detach().clone().requires_grad_()
        for key in pairing.differentiable
        if key in arguments
    }
    return {**arguments, **leaves}, leaves


def values_and_gradients(pairing, arguments, op=None, cotangents=None, **options):
    """Outputs of the op and its gradients, all of them as tensors: of the outputs' sum of squares, or of what the
    cotangents weigh."""
    everything, leaves = with_leaves(pairing, arguments)
    outputs = (op or pairing.op)(**everything, **options)
    if cotangents is None:
        loss = sum(output.abs().square().sum() for output in outputs)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
    else:
        gradients = torch.autograd.grad(outputs, list(leaves.values()), cotangents)
    return [output.detach() for output in outputs] + list(gradients)


def noise_like(x, seed=0):
    """Normal numbers of the shape, dtype and device of a tensor."""
    return torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed)).to(x.device)


def equal(one, other):
    """Whether the tensors have the same bits, one by one."""
    return all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def registered_calls(pairing, arguments, **options):
    """Every call of an op of this package in the graphs, forward and backward, that compilation makes of one: the op
    and the arguments that reached it, which have gradients where the op has them."""
    torch._dynamo.reset()
    calls = []

    class Recorder(fx.Interpreter):
        def call_function(self, target, args, kwargs):
            if getattr(target, "namespace", "") == "seqlab":
                has_gradients = not target.name().endswith("_backward")
                copied = tree_map_only(Tensor, lambda x: x.clone().requires_grad_(has_gradients), args)
                calls.append((target, copied, kwargs))
            return super().call_function(target, args, kwargs)

    def recorded(module, inputs):
        recorder = Recorder(module)
        return lambda *values: recorder.run(*values)

    backend = aot_autograd(fw_compiler=boxed(recorded), bw_compiler=boxed(recorded))
    compiled = torch.compile(functools.partial(pairing.op, **options), backend=backend, fullgraph=True)
    values_and_gradients(pairing, arguments, op=compiled)
    torch._dynamo.reset()
    return calls


def boxed(compiler):
    from functorch.compile import make_boxed_compiler

    return make_boxed_compiler(compiler)
