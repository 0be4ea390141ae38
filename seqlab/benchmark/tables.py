"""Tables of a page or a notebook, which scroll in their own box where they are wide."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

SENTENCE = 40  # characters from which a cell is one


@dataclass(frozen=True)
class Table:
    """Lines of cells below a head of as many, the first of each naming its line; a
    caption above, and notes below."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    caption: str
    notes: Sequence[str] = ()

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th scope='col'>{html.escape(text)}</th>" for text in self.head
        )
        body = ""
        for first, *rest in self.lines:
            cells = "".join(map(_cell, rest))
            body += f"<tr><th scope='row'>{_markup(first)}</th>{cells}</tr>"
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            "<div class='pst-scrollable-table-container'><table class='table table-measurements'>"
            f"<caption>{html.escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            + (f"<ul class='table-notes'>{notes}</ul>" if notes else "")
        )

    def __repr__(self) -> str:
        rows = [[text.replace("\n", ", ") for text in line] for line in self.lines]
        every = [list(self.head), *rows]
        widths = [max(len(line[i]) for line in every) for i in range(len(self.head))]
        text = [
            "  ".join(
                cell.ljust(width) for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in every
        ]
        return "\n".join([self.caption, *text, *self.notes])


def _cell(text: str) -> str:
    # Numbers stay on their line; a sentence gets some width where the table scrolls.
    style = "white-space: nowrap" if len(text) < SENTENCE else "min-width: 16rem"
    return f"<td style='{style}'>{_markup(text)}</td>"


def _markup(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


@dataclass(frozen=True)
class Tables:
    """Several tables as one output, or a sentence where there are none."""

    tables: Sequence[Table]
    nothing: str

    def _repr_html_(self) -> str:
        shown = "".join(table._repr_html_() for table in self.tables)
        return shown or f"<p>{html.escape(self.nothing)}</p>"

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self.tables)) or self.nothing
