"""What ops make once and keep for later calls: matrices that depend on sizes alone.

A kept value outlives the call that made it, so that it must not depend on how that call
was made. It is made in a thread of its own, where none of the caller's modes holds:
inference mode, autocast, default devices, the memory of a CUDA graph that is about to be
recorded. It may then be read on any stream.

Of what is kept on a device there are at most ``BUDGET`` bytes; what was read longest ago
goes first. What a CUDA graph has read while it was captured stays for good, as its
replays read the same memory.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import torch
from torch import Tensor

BUDGET = 2**28
"""Bytes that may be kept on each device."""

Value = TypeVar("Value", bound=Tensor | tuple[Tensor, ...])


@dataclass
class _Entry:
    tensors: tuple[Tensor, ...]
    value: Tensor | tuple[Tensor, ...]
    pinned: bool = False
    streams: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        return sum(x.nbytes for x in self.tensors)


_kept: dict[torch.device, OrderedDict[Hashable, _Entry]] = {}
_lock = Lock()


def keep(
    key: Hashable, device: torch.device, size: int, make: Callable[[], Value]
) -> Value | None:
    """The value of ``key`` on a device, made if it is not there.

    Args:
        key: whatever the value depends on, and the caller's name.
        device: where its tensors lie.
        size: how many bytes they will have.
        make: makes them, a tensor or a tuple of tensors, on the default stream.

    Returns:
        The value, or None where there is no room for it, or where it is not there and a
        CUDA graph is being captured.
    """
    capturing = captures(device)
    entry = _read(key, device, capturing)
    if entry is None:
        with _lock:
            if capturing or not _make_room(_entries(device), size):
                return None
        with ThreadPoolExecutor(1) as thread:
            value = thread.submit(_make, make, device).result()
        tensors = (value,) if isinstance(value, Tensor) else value
        with _lock:
            _entries(device).setdefault(key, _Entry(tensors, value))
        entry = _read(key, device, capturing)
        assert entry is not None
    return entry.value  # type: ignore[return-value]


def _entries(device: torch.device) -> OrderedDict[Hashable, _Entry]:
    return _kept.setdefault(device, OrderedDict())


def _read(key: Hashable, device: torch.device, capturing: bool) -> _Entry | None:
    with _lock:
        entries = _entries(device)
        entry = entries.get(key)
        if entry is not None:
            entries.move_to_end(key)
            if capturing:
                entry.pinned = True
            elif device.type == "cuda":
                _note_stream(entry, device)
        return entry


def captures(device: torch.device) -> bool:
    """Whether a CUDA graph is being captured on the current stream."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def clear_cache(device: torch.device | str | None = None) -> int:
    """Free what ops keep for later calls on a device, or on all if None; returns how many
    bytes that was.

    What a CUDA graph has read while it was captured stays, as its replays read it again.
    """
    freed = 0
    with _lock:
        for where in _devices(device):
            for key in [key for key, entry in _kept[where].items() if not entry.pinned]:
                freed += _kept[where].pop(key).size
    return freed


def cache_bytes(device: torch.device | str | None = None) -> int:
    """How many bytes ops keep for later calls on a device, or on all if None."""
    with _lock:
        return sum(_size(_kept[where]) for where in _devices(device))


def _devices(device: torch.device | str | None) -> list[torch.device]:
    if device is None:
        return list(_kept)
    wanted = torch.device(device)
    return [
        each
        for each in _kept
        if each.type == wanted.type and wanted.index in (None, each.index)
    ]


def _size(entries: OrderedDict[Hashable, _Entry]) -> int:
    return sum(entry.size for entry in entries.values())


def _make_room(entries: OrderedDict[Hashable, _Entry], size: int) -> bool:
    """Whether ``size`` bytes more fit, once as much as it takes has gone."""
    fixed = sum(entry.size for entry in entries.values() if entry.pinned)
    if fixed + size > BUDGET:
        return False
    for key in [key for key, entry in entries.items() if not entry.pinned]:
        if _size(entries) + size <= BUDGET:
            break
        del entries[key]
    return True


def _make(make: Callable[[], Value], device: torch.device) -> Value:
    if device.type != "cuda":
        return make()
    with torch.cuda.device(device):
        value = make()
        torch.cuda.current_stream().synchronize()
        return value


def _note_stream(entry: _Entry, device: torch.device) -> None:
    """Have the memory wait, once it is freed, for what this stream still reads of it."""
    raw = torch._C._cuda_getCurrentRawStream(device.index)
    if raw != 0 and raw not in entry.streams:
        entry.streams.add(raw)
        for tensor in entry.tensors:
            tensor.record_stream(torch.cuda.current_stream(device))
