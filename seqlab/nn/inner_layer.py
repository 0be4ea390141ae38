"""The layer that a model is built around."""

from torch import Tensor, nn


def check_layer(name: str, layer: object) -> nn.Module:
    """`layer` itself; TypeError unless it is a module, ValueError if it is one of
    torch.nn's recurrent layers with the time axis first."""
    if not isinstance(layer, nn.Module):
        raise TypeError(f"{name}: expected a torch.nn.Module, got {_said(layer)}")
    if isinstance(layer, nn.RNNBase) and not layer.batch_first:
        raise ValueError(f"{name}: expected batch_first=True, got {layer}")
    return layer


def outputs_of(name: str, layer: nn.Module, u: Tensor, width: int) -> Tensor:
    """The layer's outputs y (batch, length, width) for u, from the (y, state) that it
    gives; TypeError or ValueError if it gives something else."""
    given = layer(u)
    pair = isinstance(given, tuple) and len(given) == 2
    if not (pair and isinstance(given[0], Tensor)):
        raise TypeError(
            f"{name}: expected a layer that gives (y, state), got {_said(given)} from "
            f"{type(layer).__name__}"
        )
    y = given[0]
    if y.ndim != 3 or y.shape[-1] != width:
        raise ValueError(
            f"{name}: expected a layer that gives y of shape (batch, length, width) = "
            f"(*, *, {width}), got {tuple(y.shape)} from {type(layer).__name__}"
        )
    return y


def _said(value: object) -> str:
    return "a tensor" if isinstance(value, Tensor) else type(value).__name__
