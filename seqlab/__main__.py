"""The command line: ``python -m seqlab {doctor,verify,bench,train}``."""

import argparse
import sys

from seqlab.doctor import doctor


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code is 0 for success, 1 for a check that failed, 2 for
    bad arguments, 130 where it was interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m seqlab", description="Tools of the book's package."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "doctor", help="say what this machine has and what will therefore run"
    )
    verify = commands.add_parser(
        "verify", help="hold every op, on every backend, to its float64 reference"
    )
    bench = commands.add_parser(
        "bench", help="time ops against the hardware's limit, and peers beside them"
    )
    train = commands.add_parser(
        "train", help="train one of the book's small models from the terminal"
    )

    # Each command brings its own arguments; only the one that is asked for is imported.
    wanted = next(
        (
            word
            for word in (sys.argv[1:] if argv is None else argv)
            if not word.startswith("-")
        ),
        None,
    )
    if wanted == "verify":
        from seqlab.verify import command as verification

        verification.add_arguments(verify)
        verify.set_defaults(run=verification.run)
    elif wanted == "bench":
        from seqlab.benchmark import command as benchmarking

        benchmarking.add_arguments(bench)
        bench.set_defaults(run=benchmarking.run)
    elif wanted == "train":
        from seqlab.training import command

        command.add_arguments(train)
        train.set_defaults(run=command.run)
    arguments = parser.parse_args(argv)
    if arguments.command == "doctor":
        doctor()
        return 0
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
