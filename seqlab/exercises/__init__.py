"""The exercises that ask for code: what ``seqlab.check`` tries an answer on.

Each chapter has a module here with a dictionary ``CHECKS``, from an exercise's number to
a function that takes the reader's answer and raises ``Rejected`` with a sentence unless
it is right. The solutions stand in the chapters' notebooks.
"""

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["Verdict", "check"]


class Rejected(Exception):
    """An answer is wrong; the message says in one sentence why."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """What became of an answer: true if it is right, and a sentence to read."""

    number: str
    right: bool
    sentence: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"Exercise {self.number}: {self.sentence}"


def check(number: str, answer: Any) -> Verdict:
    """Try the answer to an exercise of the book on small inputs.

    Args:
        number: the exercise, such as "5.8".
        answer: the function or Triton kernel that the exercise asks for, or ``...``. A
            kernel is interpreted on the CPU, also where it was decorated for a GPU.

    Returns:
        A verdict, which a notebook shows as a sentence: right, not solved yet, or what
        is wrong. As a condition it is true where the answer is right.

    Raises:
        ValueError: no exercise of this number asks for code.
    """
    every = checks()
    if number not in every:
        known = ", ".join(every)
        raise ValueError(f"number: expected one of {known}, got {number!r}")
    try:
        if answer is ...:
            raise NotImplementedError
        every[number](answer)
    except NotImplementedError:
        return Verdict(number, False, "not solved yet.")
    except Rejected as reason:
        return Verdict(number, False, f"{reason}.")
    except Exception as error:  # whatever the reader's code raises is an answer too
        return Verdict(number, False, f"it raises {type(error).__name__}: {error}")
    return Verdict(number, True, "right.")


def checks() -> dict[str, Any]:
    """Every check by its exercise's number, in the order of the book."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    chapters = [name for name in names if name.startswith("chapter_")]
    found: dict[str, Any] = {}
    for name in chapters:
        found |= import_module(f"{__name__}.{name}").CHECKS
    return dict(
        sorted(found.items(), key=lambda item: tuple(map(int, item[0].split("."))))
    )
