"""Repository and launch buttons, which follow from ``seqlab.address`` and are absent while it is None."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from seqlab import address


def theme_options(repository: str | None) -> dict[str, Any]:
    """The theme's options for a public address; without one they take Jupyter Book's own address away."""
    if repository is None:
        return {"repository_url": "", "launch_buttons": {}, "use_repository_button": False}
    return {
        "repository_url": repository,
        "repository_branch": address.BRANCH,
        "path_to_docs": "",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {
            "colab_url": "https://colab.research.google.com",
            "notebook_interface": "jupyterlab",
        },
    }


def publish(app: Sphinx, config: Config) -> None:
    """Set the buttons and the book's own address."""
    config.html_theme_options.update(theme_options(address.REPOSITORY))
    config.html_baseurl = address.SITE or ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Decide before the theme reads its options."""
    app.connect("config-inited", publish, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
