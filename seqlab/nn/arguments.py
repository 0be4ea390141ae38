"""What every layer checks about its arguments, so that a mistake is reported in the
reader's terms."""

from torch import Tensor


def check_sequence(name: str, u: Tensor, width: int, parameter: Tensor) -> None:
    """Raise unless u is a non-empty (batch, length, width) tensor of `parameter`'s
    dtype and device."""
    if u.ndim != 3 or u.shape[-1] != width:
        raise ValueError(
            f"{name}: expected shape (batch, length, {width}), got {tuple(u.shape)}"
        )
    if 0 in u.shape:
        raise ValueError(
            f"{name}: expected a non-empty batch and length, got shape {tuple(u.shape)}"
        )
    _check_kind(name, u, parameter)


def check_step(name: str, u_t: Tensor, width: int, parameter: Tensor) -> None:
    """Raise unless u_t is a non-empty (batch, width) tensor of `parameter`'s dtype and
    device."""
    if u_t.ndim != 2 or u_t.shape[-1] != width or 0 in u_t.shape:
        raise ValueError(
            f"{name}: expected shape (batch, {width}), got {tuple(u_t.shape)}"
        )
    _check_kind(name, u_t, parameter)


def check_state(name: str, state: Tensor, batch: int, width: int) -> None:
    """Raise unless state is a (batch, width) tensor."""
    if not isinstance(state, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(state).__name__}")
    if state.shape != (batch, width):
        raise ValueError(
            f"{name}: expected shape ({batch}, {width}), got {tuple(state.shape)}"
        )


def _check_kind(name: str, u: Tensor, parameter: Tensor) -> None:
    if u.dtype != parameter.dtype:
        raise TypeError(
            f"{name}: expected {parameter.dtype} like the layer's parameters, got {u.dtype}"
        )
    if u.device != parameter.device:
        raise ValueError(
            f"{name}: expected a tensor on {parameter.device} like the layer, got {u.device}"
        )
