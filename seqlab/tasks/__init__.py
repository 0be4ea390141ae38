"""Small tasks to train a sequence model on: real digits read pixel by pixel, real
speech, and problems made from a seed.

Every task is a `Task`: `.batches(batch_size, seed)` yields training batches without
end, `.test()` gives the held-out sequences, and `.loss` and `.score` say how an answer
is judged.
"""

from seqlab.tasks.images import full_mnist, sequential_digits, sequential_mnist
from seqlab.tasks.speech import japanese_vowels
from seqlab.tasks.synthetic import adding, copying, delay
from seqlab.tasks.task import Task

__all__ = [
    "Task",
    "adding",
    "copying",
    "delay",
    "full_mnist",
    "japanese_vowels",
    "sequential_digits",
    "sequential_mnist",
]
