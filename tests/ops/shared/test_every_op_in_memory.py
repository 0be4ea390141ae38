"""Where tensors lie in memory makes no difference to an op, and what it returns lies in memory of its own."""

import pytest
import torch
from every_call import INTERPRETED, LEAST, PORTABLE, SIZES, close, every_form, is_real, over
from op_calls import equal, noise_like, tensors_in, with_leaves
from torch import Tensor

# Kinds that have kernels of their own.
OTHER_KERNELS = {("selective_scan", "complex A"), ("gated_linear_attention", "a decay a head")}
OTHERS = [(*form, "interpreter") for form in sorted(OTHER_KERNELS) if INTERPRETED]


def transposed(x):
    return x.mT.contiguous().mT if x.ndim > 1 else sliced(x)


def sliced(x):
    between = torch.nan if x.is_floating_point() or x.is_complex() else 0
    wide = torch.full((*x.shape[:-1], 2 * x.shape[-1]) if x.ndim else (2,), between, dtype=x.dtype)
    view = wide[..., ::2] if x.ndim else wide[0]
    return view.copy_(x)


def conjugated(x):
    """The same numbers, of which PyTorch remembers that they are to be conjugated and negated when they are read."""
    negated = torch._neg_view(-x)
    return negated.conj_physical().conj() if x.is_complex() else negated


def offset(x):
    """Not aligned: it begins one number after an allocation's start."""
    flat = torch.full((x.numel() + 1,), torch.nan, dtype=x.dtype)
    return flat[1:].copy_(x.flatten()).view(x.shape)


def moved(arguments, laid_out):
    """The arguments with tensors laid out in another way."""
    return {key: laid_out(x) if isinstance(x, Tensor) else x for key, x in arguments.items()}


@every_form
def test_strides_make_no_difference(call):
    arguments = call.arguments()
    expected = call.op(**arguments)
    for laid_out in (sliced, offset):
        close(call.op(**moved(arguments, laid_out)), expected, 1e-6)


@every_form
def test_numbers_may_wait_to_be_negated_or_conjugated(call):
    """Each alone: of two factors, both with the wrong sign, the product is right."""
    arguments = call.arguments(LEAST if call.backend == "interpreter" else SIZES)
    everything, leaves = with_leaves(call.pairing, arguments)
    outputs = call.op(**everything)
    for name, x in tensors_in(arguments).items():
        close(call.op(**{**arguments, name: conjugated(x)}), outputs, 1e-6)
    sent = [noise_like(x, seed) for seed, x in enumerate(outputs)]

    def gradients(sent):
        return torch.autograd.grad(outputs, list(leaves.values()), sent, retain_graph=True)

    expected = gradients(sent)
    for i, grad in enumerate(sent):
        found = gradients([*sent[:i], conjugated(grad), *sent[i + 1 :]])
        for one, other in zip(found, expected, strict=True):
            assert torch.allclose(one, other, 1e-4, 1e-5)


@over([form for form in PORTABLE + INTERPRETED if is_real(*form[:2])])
@pytest.mark.parametrize("more", [{"length": 7}, {"channels": 3, "keys": 4}])
def test_numbers_of_16_bits_may_wait_to_be_negated(call, more):
    """To the bit. Where strides are the same, as those of a tensor and its transpose are if one axis has size one,
    PyTorch has a copy of its own from float16 to float32 on a CPU, and that forgets to negate."""
    arguments = {
        key: x.half() if isinstance(x, Tensor) and key not in call.full_precision else x
        for key, x in call.arguments({**dict.fromkeys(SIZES, 1), **more}).items()
    }
    everything, leaves = with_leaves(call.pairing, arguments)
    outputs = call.op(**everything)
    for name, x in tensors_in(arguments).items():
        assert equal(call.op(**{**arguments, name: conjugated(x)}), outputs), name
    sent = [noise_like(x, seed) for seed, x in enumerate(outputs)]

    def gradients(sent):
        return torch.autograd.grad(outputs, list(leaves.values()), sent, retain_graph=True)

    expected = gradients(sent)
    for i, grad in enumerate(sent):
        assert equal(gradients([*sent[:i], conjugated(grad), *sent[i + 1 :]]), expected), i


@every_form
def test_expanded_or_transposed_arguments_and_gradients_make_no_difference(call):
    """Tensors without a copy for each time; and leaves that are transposed, with the gradient of a sum, which has one
    number in memory."""
    arguments = call.arguments()
    expanded = {
        key: x.narrow(call.letters[key].index("L"), 0, 1).expand_as(x)
        if "L" in call.letters.get(key, "")
        else x
        for key, x in arguments.items()
    }
    copied = {key: x.contiguous() if isinstance(x, Tensor) else x for key, x in expanded.items()}
    everything, leaves = with_leaves(call.pairing, copied)
    outputs = call.op(**everything)
    close(call.op(**expanded), outputs, 1e-6)
    ones = [torch.ones_like(x) for x in outputs]
    expected = torch.autograd.grad(outputs, list(leaves.values()), ones)
    everything, leaves = with_leaves(call.pairing, moved(copied, transposed))
    outputs = call.op(**everything)
    one = [torch.ones((), dtype=x.dtype).expand_as(x) for x in outputs]
    close(torch.autograd.grad(outputs, list(leaves.values()), one), expected, 1e-5)


@over(PORTABLE + INTERPRETED + OTHERS)
def test_what_is_kept_for_backward_may_come_back_with_strides(call):
    """From a hook that packed it for the time between; also where backward passes have chunks to carry over."""
    for sizes in (call.sizes, {**call.sizes, "length": 33}):
        arguments = call.arguments(sizes)
        with torch.autograd.graph.saved_tensors_hooks(Tensor.detach, sliced):
            found = call.run(arguments)
        close(found, call.run(arguments), 1e-6)


@every_form
def test_outputs_share_no_memory(call):
    for case in (call.sizes, {**call.sizes, "length": 1}):
        arguments = call.arguments(case)
        before = {key: x.clone() for key, x in tensors_in(arguments).items()}
        outputs = call.op(**arguments)
        owners = [x.untyped_storage().data_ptr() for x in (*outputs, *before.values())]
        owners += [x.untyped_storage().data_ptr() for x in tensors_in(arguments).values()]
        assert len(set(owners)) == len(owners)
        for key, x in before.items():
            assert torch.equal(arguments[key], x)
