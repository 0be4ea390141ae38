"""Where the project lives on the web: the one place that says so.

Launch buttons, badges, the citation file and the set-up cell of every chapter follow
from these two constants: after changing one, run ``make address``. A test fails when
anything disagrees with them.
"""

REPOSITORY: str | None = None
"""Public address of the repository, such as ``"https://github.com/owner/name"``; None while it has none."""

SITE: str | None = None
"""Public address of the built book, such as ``"https://owner.github.io/name"``; None while it has none."""

BRANCH = "main"
"""Branch that launch buttons open and that a hosted notebook installs from."""

_UNPUBLISHED = """\
# Set-up. Run me first: I say what this machine has and what will therefore run.
import importlib.util

if importlib.util.find_spec("seqlab") is None:
    raise ModuleNotFoundError(
        "seqlab is not installed here, and has no public address yet to fetch it from: "
        "run `pip install -e .` in a copy of the project, then restart this notebook."
    )

import seqlab

seqlab.doctor()"""

_PUBLISHED = """\
# Set-up. Run me first: I say what this machine has and what will therefore run.
import importlib.util

if importlib.util.find_spec("seqlab") is None:
    # --no-deps: the torch, triton and numpy that this machine already has stay as they are.
    %pip install --quiet --no-deps git+{repository}@{branch}
    %pip install --quiet --no-deps anywidget psygnal tqdm mlxtend

import seqlab

seqlab.doctor()"""


def setup_cell(repository: str | None = REPOSITORY) -> str:
    """Source text of the set-up cell that every chapter opens with.

    repository: address to install from where ``seqlab`` is missing; with None the cell
    says so instead.
    """
    if repository is None:
        return _UNPUBLISHED
    return _PUBLISHED.format(repository=repository, branch=BRANCH)


def colab_url(path: str, repository: str) -> str:
    """Address that opens the notebook at ``path`` (relative to the repository's root)
    in Google Colab.

    Raises ValueError for a repository that is not on GitHub, the only host Colab opens
    notebooks from.
    """
    host = "https://github.com/"
    if not repository.startswith(host):
        raise ValueError(
            f"repository: expected an address that starts with {host}, got {repository!r}"
        )
    return f"https://colab.research.google.com/github/{repository.removeprefix(host)}/blob/{BRANCH}/{path}"
