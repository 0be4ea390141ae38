"""What is made once and kept for later calls, and where it is made."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def kept(make: Callable[..., Any]) -> Callable[..., Any]:
    """``make``, whose first argument has a ``device``, run on that device's default
    stream and waited for: any stream may use the result, and a CUDA graph that is being
    recorded on another stream does not count it as its own memory.

    Raises ``RuntimeError`` while the current stream is being recorded.
    """

    @wraps(make)
    def make_to_keep(first: Any, *rest: Any) -> Any:
        device = first.device
        if device.type != "cuda" or torch.compiler.is_compiling():
            return make(first, *rest)
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "hippo_project: expected a call with this shape before a CUDA graph is "
                "recorded, as what it keeps for later calls cannot be made in a graph"
            )
        stream = torch.cuda.default_stream(device)
        with torch.cuda.stream(stream):
            result = make(first, *rest)
        stream.synchronize()
        return result

    return make_to_keep
