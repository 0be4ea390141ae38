"""How a pair of functions, forward and backward, becomes a differentiable PyTorch op.

Three ways lead to the same two functions, and a call takes the shortest that will do:

  plain tensors             ``autograd.Function`` with a context, or nothing at all where
                            no gradient is asked for
  inside ``torch.func``     ``autograd.Function`` with ``setup_context`` and ``vmap``,
                            which costs a hundred microseconds more
  compiled, exported,       ``torch.ops.seqlab.<name>``, whose shapes are known without
  traced, subclasses, meta  running it

What no way leads to is refused in a sentence: derivatives forward in mode, and of second
order.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

Arguments = tuple[Any, ...]
Tensors = tuple[Tensor, ...]
P = ParamSpec("P")
R = TypeVar("R", bound=tuple[Tensor, ...])

_LIBRARY = torch.library.Library("seqlab", "FRAGMENT")


def register(
    name: str,
    forward: Callable[P, R],
    backward: Callable[..., Tensors],
    save: Callable[[Arguments, Tensors], tuple[Tensor | None, ...]],
    fake: Callable[..., Tensors],
    fake_backward: Callable[..., Tensors],
    inference: Callable[P, R] | None = None,
) -> Callable[P, R]:
    """The op ``name``, called with the arguments of ``forward``, by position.

    Args:
        name: also that of ``torch.ops.seqlab.<name>``; its backward pass is registered
            as ``<name>_backward``.
        forward: (tensors, options) -> outputs. Annotated, as PyTorch reads its schema
            there: tensors first, ``Tensor`` or ``Tensor | None``, then numbers, strings
            and booleans. Returns a tuple of new tensors, none of them a view of another.
        backward: (saved tensors, a gradient of each output, options) -> a gradient of
            each tensor, in the order of ``forward``; annotated likewise. That of an output
            which the loss does not use is None where the annotations of all of them
            allow it, else zeros. That of a tensor which was None is thrown away, and
            may be None.
        save: (arguments, outputs) -> what backward is given, tensors or None.
        fake, fake_backward: as ``forward`` and ``backward``, but with empty results of
            the same shapes, dtypes and devices, all contiguous: graphs get them so,
            whatever strides the functions leave.
        inference: as ``forward``, but what only ``backward`` reads may be empty: for plain
            tensors, where no gradient can be asked for later. What is compiled, exported
            or transformed may yet be differentiated, and takes ``forward``.
    """
    gradients = _Op(f"{name}_backward", _plainly(backward), fake_backward)
    gradients.differentiate(_refuse_second(name), lambda arguments, outputs: ())
    op = _Op(name, _plainly(forward), fake)
    if inference is not None:
        op.inference = _plainly(inference)
    op.differentiate(gradients, save)
    return cast(Callable[P, R], op)


class _Op:
    """One function of tensors and options with the ways that lead to it."""

    def __init__(
        self, name: str, function: Callable[..., Tensors], fake: Callable[..., Tensors]
    ) -> None:
        self.name = name
        self.function = self.inference = function
        parameters = inspect.signature(function).parameters.values()
        kinds = [parameter.annotation for parameter in parameters]
        kinds = [kind for kind in kinds if kind in (Tensor, Tensor | None)]
        self.optional = [kind == Tensor | None for kind in kinds]
        self.tensors = len(kinds)
        self.options = len(parameters) - self.tensors
        schema = torch.library.infer_schema(function, mutates_args=())
        # A tuple of one tensor is no result that PyTorch traces well: it fixes its sizes.
        self.alone = schema.endswith("-> ((Tensor))")
        if self.alone:
            schema = schema.replace("((Tensor))", "Tensor")
        _LIBRARY.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))
        _LIBRARY.impl(name, self._of_schema(function), "CompositeExplicitAutograd")
        torch.library.register_fake(
            f"seqlab::{name}", self._of_schema(fake), lib=_LIBRARY
        )
        self._registered = getattr(torch.ops.seqlab, name).default

    def _of_schema(self, function: Callable[..., Tensors]) -> Callable[..., Any]:
        """The function with the results that the schema names."""
        whole = _whole(function)
        return (lambda *arguments: whole(*arguments)[0]) if self.alone else whole

    def registered(self, *arguments: Any) -> Tensors:
        """By way of ``torch.ops``."""
        found = self._registered(*arguments)
        return (found,) if self.alone else found

    def __call__(self, *arguments: Any) -> Tensors:
        return self.by_shortest_way(self.inference, arguments)

    def by_shortest_way(
        self, alone: Callable[..., Tensors], arguments: Arguments
    ) -> Tensors:
        """What the op makes of the arguments: ``alone``, where these ask for no gradient."""
        if (
            torch.compiler.is_compiling()
            or torch._C._len_torch_dispatch_stack()
            or torch._C._is_tracing()
            or arguments[0].is_meta
        ):
            return self.registered(*arguments)
        with_graph = torch.is_grad_enabled()
        differentiated = forward_ad._current_level >= 0
        for x in arguments[: self.tensors]:
            if x is not None:
                if type(x) not in _PLAIN:
                    return self.registered(*arguments)
                if with_graph and x.requires_grad:
                    differentiated = True
        if torch._C._are_functorch_transforms_active():
            return self.transformed.apply(*arguments)
        if differentiated:
            return self.eager.apply(*arguments)
        return alone(*arguments)

    def differentiate(
        self,
        gradients: Callable[..., Tensors],
        save: Callable[[Arguments, Tensors], tuple[Tensor | None, ...]],
    ) -> None:
        """Make ``gradients`` of what ``save`` keeps, the outputs' gradients and the
        options the derivative of this op."""
        op, tensors, options = self, self.tensors, (None,) * self.options
        outputs = len(self._registered._schema.returns)
        optional = getattr(gradients, "optional", [])[-outputs:]

        def keep(ctx: Any, inputs: Arguments, output: Tensors) -> None:
            ctx.save_for_backward(*save(inputs, output))
            ctx.options = inputs[tensors:]
            if all(optional):
                ctx.set_materialize_grads(False)

        def keep_registered(ctx: Any, inputs: Arguments, output: Any) -> None:
            keep(ctx, inputs, (output,) if op.alone else output)

        def back(ctx: Any, *grads: Tensor | None) -> Arguments:
            found = gradients(*ctx.saved_tensors, *grads, *ctx.options)
            needed = ctx.needs_input_grad
            return *(x if needed[i] else None for i, x in enumerate(found)), *options

        def refuse(ctx: Any, *tangents: Any) -> None:
            raise NotImplementedError(
                f"{op.name}: forward-mode derivatives (torch.func.jvp, jacfwd, hessian, "
                "dual numbers) are not implemented; reverse mode is (backward, "
                "torch.func.grad, vjp, jacrev)"
            )

        class Eager(Function):
            @staticmethod
            def forward(ctx: Any, *arguments: Any) -> Tensors:
                outputs = op.function(*arguments)
                keep(ctx, arguments, outputs)
                return outputs

            backward = staticmethod(back)
            jvp = staticmethod(refuse)

        class Transformed(Function):
            @staticmethod
            def forward(*arguments: Any) -> Tensors:
                return _whole(op.function)(*arguments)

            setup_context = staticmethod(keep)
            backward = staticmethod(back)
            jvp = staticmethod(refuse)

            @staticmethod
            def vmap(info: Any, dims: Sequence[int | None], *arguments: Any) -> Any:
                # A gradient inside of vmap keeps what backward needs of every sample.
                whole = _whole(lambda *each: op.by_shortest_way(op.function, each))
                results = []
                for i in range(info.batch_size):
                    each = [
                        x if dim is None else x.select(dim, i)
                        for x, dim in zip(arguments, dims, strict=True)
                    ]
                    results.append(whole(*each))
                stacked = tuple(torch.stack(x) for x in zip(*results, strict=True))
                return stacked, (0,) * len(stacked)

        self.eager, self.transformed = Eager, Transformed
        torch.library.register_autograd(
            f"seqlab::{self.name}", back, setup_context=keep_registered, lib=_LIBRARY
        )


def _whole(function: Callable[..., Tensors]) -> Callable[..., Tensors]:
    """The function with the results that a schema, a graph and ``vmap`` count on: an empty
    tensor for each None, and no strides but those of ``new_empty``, which fake results
    have."""

    def whole(*arguments: Any) -> Tensors:
        found = function(*arguments)
        return tuple(
            arguments[0].new_empty(0) if x is None else x.contiguous() for x in found
        )

    return whole


_PLAIN = frozenset((Tensor, torch.nn.Parameter))


def runs_now(x: Tensor) -> bool:
    """Whether a call with the tensor is computed at once, outside of graphs and
    transforms, so that its numbers are there to be looked at."""
    return type(x) in _PLAIN and not (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._is_tracing()
        or torch._C._are_functorch_transforms_active()
    )


def _refuse_second(name: str) -> Callable[..., Tensors]:
    def refuse(*arguments: Any) -> Tensors:
        raise NotImplementedError(
            f"{name}: second derivatives are not implemented (a gradient was "
            "differentiated that was made with create_graph=True, or by nested transforms)"
        )

    return refuse


def _plainly(function: Callable[..., Tensors]) -> Callable[..., Tensors]:
    """The function outside of the caller's autocast, as an op's own dtypes hold."""

    @wraps(function)
    def plain(*arguments: Any) -> Tensors:
        if torch._C._is_any_autocast_enabled():
            with torch.autocast(arguments[0].device.type, enabled=False):
                return function(*arguments)
        return function(*arguments)

    return plain
