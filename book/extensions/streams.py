"""What a cell prints is one block, with the lines it was printed in.

A cell that takes long sends its lines in pieces. MyST-NB's way to merge them strips each piece and ends it with a
line break, so that blank lines go missing or come up, and lines break, wherever a piece happened to end.
"""

from myst_nb.core import render
from myst_nb.core.utils import coalesce_streams
from nbformat import NotebookNode
from sphinx.application import Sphinx


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs with the pieces of each stream as one, in the place of its first."""
    kept: list[NotebookNode] = []
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            kept.append(output)
        elif output["name"] in streams:
            streams[output["name"]]["text"] += output["text"]
        else:
            streams[output["name"]] = NotebookNode(output)
            kept.append(streams[output["name"]])
    return kept


def merge(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """MyST-NB's merging, which then has one piece of each stream to strip."""
    return coalesce_streams(joined(outputs))


def setup(app: Sphinx) -> dict[str, bool]:
    """Merge this way wherever MyST-NB merges."""
    render.coalesce_streams = merge
    return {"parallel_read_safe": True, "parallel_write_safe": True}
