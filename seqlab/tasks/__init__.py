"""Small tasks to train a sequence model on: real digits read pixel by pixel, real
speech, English read character by character, and problems made from a seed, two of the
Long Range Arena among them.

Every task is a `Task`: `.batches(batch_size, seed)` yields training batches without
end, `.test()` gives the held-out sequences, and `.loss` and `.score` say how an answer
is judged.
"""

from seqlab.tasks.formal import formal_language
from seqlab.tasks.images import full_mnist, sequential_digits, sequential_mnist
from seqlab.tasks.listops import listops
from seqlab.tasks.pathfinder import pathfinder
from seqlab.tasks.recall import (
    associative_recall,
    induction_heads,
    multi_query_recall,
    nearest_neighbor,
    zoology_recall,
)
from seqlab.tasks.speech import japanese_vowels
from seqlab.tasks.synthetic import adding, copying, delay, selective_copying
from seqlab.tasks.task import Task
from seqlab.tasks.text import characters, python_documentation, shakespeare

__all__ = [
    "Task",
    "adding",
    "associative_recall",
    "characters",
    "copying",
    "delay",
    "formal_language",
    "full_mnist",
    "induction_heads",
    "japanese_vowels",
    "listops",
    "multi_query_recall",
    "nearest_neighbor",
    "pathfinder",
    "python_documentation",
    "selective_copying",
    "sequential_digits",
    "sequential_mnist",
    "shakespeare",
    "zoology_recall",
]
