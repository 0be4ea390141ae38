"""Which comparisons are made, and in which order."""

from collections.abc import Iterable, Mapping
from typing import Any

from seqlab.catalogue import PAIRINGS
from seqlab.verify.backends import BACKENDS, absent_backends, precisions_of
from seqlab.verify.comparison import Comparison
from seqlab.verify.errors import Row
from seqlab.verify.truth import COMPLEX


def verify(
    names: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    quick: bool = False,
) -> list[Row]:
    """Compare ops with their references.

    names: ops of the catalogue, all if None. backends: keys of ``BACKENDS``, those this
    machine has if None. quick: ordinary inputs of one size alone, in the two widest
    dtypes of each backend. Raises ``ValueError`` for an op or a backend that does not
    exist or that this machine does not have, and for an op that has none of the
    backends.
    """
    chosen = comparisons(names, backends, quick)
    rows: dict[Comparison, Row] = {}
    for together in by_sample(chosen):
        rows |= run_together(together)
    return [rows[each] for each in chosen]


def comparisons(
    names: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    quick: bool = False,
) -> list[Comparison]:
    """What ``verify`` compares, for those who spread the work over processes.

    The interpreter, which is slow, tries float16 on one sample of each kind: such
    numbers are loaded and stored by the same lines whatever they are, and computed in
    float32.
    """
    missing = absent_backends()
    chosen_names = _chosen("names", names, PAIRINGS)
    chosen_backends = (
        [name for name in BACKENDS if name not in missing]
        if backends is None
        else _chosen("backends", backends, BACKENDS)
    )
    for name in chosen_backends:
        if name in missing:
            raise ValueError(f"backends: {name!r} cannot run here: {missing[name]}")
    for name in chosen_names:
        own = PAIRINGS[name].sizes
        if names is not None and not set(own) & set(chosen_backends):
            raise ValueError(
                f"backends: expected one that {name} has, {' or '.join(own)}, "
                f"got {', '.join(chosen_backends)}"
            )
    found = []
    for name in chosen_names:
        samples = [
            (number, sample)
            for number, sample in enumerate(PAIRINGS[name].samples)
            if not (quick and sample.hard)
        ]
        found += [Comparison(name, number) for number, _ in samples]
        for backend in (
            each for each in chosen_backends if each in PAIRINGS[name].sizes
        ):
            precisions = precisions_of(backend)
            for precision in precisions[:2] if quick else precisions:
                found += [
                    Comparison(name, number, backend, precision, quick)
                    for number, sample in samples
                    if precision in COMPLEX or not sample.imaginary
                    if sample.has_kernel or backend != "interpreter"
                    if not (backend == "interpreter" and precision not in COMPLEX)
                    or sample.name in PAIRINGS[name].kinds
                ]
    return found


def by_sample(chosen: Iterable[Comparison]) -> list[list[Comparison]]:
    """The comparisons on each sample of an op, which find its truth once where one
    process runs them one after another."""
    found: dict[tuple[str, int], list[Comparison]] = {}
    for each in chosen:
        found.setdefault((each.op, each.sample), []).append(each)
    return list(found.values())


def run_together(chosen: Iterable[Comparison]) -> dict[Comparison, Row]:
    """The row of each comparison."""
    return {each: each.run() for each in chosen}


def _chosen(
    argument: str, words: Iterable[str] | None, known: Mapping[str, Any]
) -> list[str]:
    """The words, all that are known if None; ``ValueError`` for another one, or for
    none."""
    if words is None:
        return list(known)
    expected = f"{argument}: expected some of {', '.join(known)}"
    if isinstance(words, str):
        raise TypeError(f"{argument}: expected a list of names, got the text {words!r}")
    chosen = list(words)
    if not chosen:
        raise ValueError(f"{expected}, got none")
    for word in chosen:
        if word not in known:
            raise ValueError(f"{expected}, got {word!r}")
    return chosen
