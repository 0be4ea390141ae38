"""Say what is missing to make an environment, in one sentence; runs on any Python 3."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (an older Python gets this far, and is told)
    sys.exit(
        "Python 3.11 or later is needed, this is {}.{}: name another with PYTHON=python3.12".format(
            *sys.version_info[:2]
        )
    )
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit("Python's venv module is missing here: on Debian and Ubuntu, run apt-get install python3-venv")
