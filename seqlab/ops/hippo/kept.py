"""What is made once and kept for later calls, and where it is made."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import torch


def kept(make: Callable[..., Any]) -> Callable[..., Any]:
    """``make``, whose first argument has a ``device``, run in a thread of its own and
    waited for. Its result may be used on any stream, and does not lie in the memory of a
    CUDA graph that the caller's thread is about to record.

    Raises ``RuntimeError`` while the current stream is being recorded.
    """

    @wraps(make)
    def make_to_keep(first: Any, *rest: Any) -> Any:
        def make_and_wait() -> Any:
            with torch.cuda.device(first.device):
                result = make(first, *rest)
                torch.cuda.current_stream().synchronize()
                return result

        if first.device.type != "cuda" or torch.compiler.is_compiling():
            return make(first, *rest)
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "hippo_project: expected a call with this shape before a CUDA graph is "
                "recorded, as what it keeps for later calls cannot be made in a graph"
            )
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(make_and_wait).result()

    return make_to_keep
