"""A chained scan: every program owns a tile, and waits for the inclusive prefix that the
program of the tile before it publishes.

A prefix is published in *status words* of 64 bits, one for each number:

      63 ............. 32   31 .............. 0
      the launch's number   the bits of a float32

A word whose launch number is not the own one is stale, and its reader polls. So words
need no reset: what an earlier launch left behind, or one that shared the memory, is never
taken. A word is written and read at once, as it is one aligned number.

Programs must be numbered such that each waits for a lower number. GPUs start them in this
order, so whoever is waited for has been started before. CUDA does not promise the order;
NVIDIA's own scan, in CUB, counts on it too (github.com/NVIDIA/cub/issues/245).
"""

from itertools import count

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import join_pairs, split_pairs
from seqlab.ops.kept import keep
from seqlab.ops.streams import on_default_stream


@triton.jit
def publish(pointers, x0, x1, launch, mask, ROWS: tl.constexpr, PAIRS: tl.constexpr):
    """Write the pairs (ROWS, PAIRS) as status words, where ``mask`` says so."""
    numbers = join_pairs(x0, x1, ROWS, PAIRS).to(tl.int32, bitcast=True)
    words = (launch.to(tl.int64) << 32) | (numbers.to(tl.int64) & 0xFFFFFFFF)
    tl.atomic_xchg(pointers, words, mask=mask, sem="relaxed")


@triton.jit
def wait_for(
    pointers,
    launch,
    mask,
    ROWS: tl.constexpr,
    PAIRS: tl.constexpr,
    LANES: tl.constexpr,
):
    """The pairs (ROWS, PAIRS) of status words, once all that ``mask`` selects are there.

    Every lane must have a word of its own to read: Triton replicates a tensor that is
    smaller than the block, and replicas that read at different moments may disagree.
    """
    tl.static_assert(ROWS * 2 * PAIRS >= LANES, "fewer status words than lanes")
    words = load_words(pointers, launch, mask)
    while any_stale(words, launch):
        words = load_words(pointers, launch, mask)
    numbers = words.to(tl.int32).to(tl.float32, bitcast=True)
    return split_pairs(numbers, ROWS, PAIRS)


@triton.jit
def load_words(pointers, launch, mask):
    """The words as they are now; where masked, one of this launch that holds 0."""
    none = launch.to(tl.int64) << 32
    return tl.load(pointers, mask=mask, other=none, volatile=True)


@triton.jit
def any_stale(words, launch):
    """Whether a word was not written by this launch."""
    return tl.max(((words >> 32) != launch).to(tl.int32)) == 1


_launches = count(1)


def status_words(number: int, like: Tensor) -> tuple[Tensor | None, int]:
    """At least so many status words for a launch on the device of ``like``, and the
    launch's number, from 1 to 2^31 - 1; None if no words are needed.

    Launches on a default stream follow one another and share words that are kept. Words
    for any other stream, which others may run beside, and for a CUDA graph, whose replays
    all have the same launch number, are new, and zeroed on that stream or in that graph.
    """
    if number == 0:
        return None, 1
    if on_default_stream(like):
        generation, launch = divmod(next(_launches), 2**31 - 1)
        size = 1 << (number - 1).bit_length()
        words = keep(
            ("status words", size, generation),
            like.device,
            8 * size,
            lambda: torch.zeros(size, dtype=torch.int64, device=like.device),
        )
        if words is not None:
            return words, launch + 1
    return torch.zeros(number, dtype=torch.int64, device=like.device), 1
