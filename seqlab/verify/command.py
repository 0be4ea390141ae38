"""`python -m seqlab verify`: verification from a terminal."""

import argparse
import sys

from seqlab.catalogue import PAIRINGS
from seqlab.verify.backends import BACKENDS, absent_backends
from seqlab.verify.choice import verify
from seqlab.verify.report import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``run`` reads."""
    parser.add_argument(
        "--ops",
        nargs="+",
        metavar="OP",
        choices=PAIRINGS,
        help="default: all of the catalogue",
    )
    parser.add_argument(
        "--backends",
        nargs="+",
        choices=BACKENDS,
        help="default: those that this machine can run",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="ordinary inputs of one size, in the two widest dtypes",
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify, print the table, and return 0 if every error is within its bound, 1 if
    not, 2 for bad input."""
    try:
        rows = verify(arguments.ops, arguments.backends, arguments.quick)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(rows))
    if arguments.backends is None:
        for backend, reason in absent_backends().items():
            print(f"Not run: {backend}, because {reason}.")
    return 0 if all(row.passed for row in rows) else 1
