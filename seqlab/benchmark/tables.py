"""Tables of a page or a notebook, which scroll in their own box where they are wide."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

SENTENCE = 40  # characters from which a cell is one
CARD = 4  # columns that a card has at the most


@dataclass(frozen=True)
class Table:
    """Lines of cells below a head of as many, the first of each naming its line; a
    caption above, and notes below. A line of one cell is the heading of those that
    follow it.

    On a narrow page of the website a table of more than four columns is scrolled beside
    its first one, which stays. Of one of four or fewer that is ``wide`` each line becomes
    a card, every cell with the head of its column. A cell of several lines is one line on
    a wide page.
    """

    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    caption: str
    notes: Sequence[str] = ()
    wide: bool = False

    def filled(self) -> "Table":
        """The table without the columns that no line has anything for."""
        rows = [line for line in self.lines if len(line) == len(self.head)]
        kept = [i for i in range(len(self.head)) if not i or any(r[i] for r in rows)]
        lines = [tuple(x[i] for i in kept) if x in rows else x for x in self.lines]
        return replace(self, head=[self.head[i] for i in kept], lines=lines)

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th{self._role('columnheader')} scope='col'>{html.escape(text)}</th>"
            for text in self.head
        )
        bodies = "".join(map(self._body, _groups(self.lines)))
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        kind = "table table-measurements"
        kind += " table-beside" if len(self.head) > CARD else " table-cards" * self.wide
        row = f"<tr{self._role('row')}>{head}</tr>"
        return (
            f"<div class='pst-scrollable-table-container'><table{self._role('table')} class='{kind}'>"
            f"<caption>{html.escape(self.caption)}</caption>"
            f"<thead{self._role('rowgroup')}>{row}</thead>{bodies}</table></div>"
            + (f"<ul class='table-notes'>{notes}</ul>" if notes else "")
        )

    def _role(self, name: str) -> str:
        """What a part is, where cards take its layout as a table's part from it."""
        cards = self.wide and len(self.head) <= CARD
        return f" role='{name}'" if cards else ""

    def _body(self, lines: Sequence[Sequence[str]]) -> str:
        rows, header = "", self._role("rowheader")
        for first, *rest in lines:
            if not rest and len(self.head) > 1:
                kind = (
                    f"scope='rowgroup' colspan='{len(self.head)}' class='table-heading'"
                )
                cells = f"<th{header} {kind}><span>{_markup(first)}</span></th>"
            else:
                kind = f"scope='row' class='{_kind(first)}'"
                cells = f"<th{header} {kind}>{_markup(first)}</th>"
                cells += "".join(map(self._cell, self.head[1:], rest))
            rows += f"<tr{self._role('row')}>{cells}</tr>"
        return f"<tbody{self._role('rowgroup')}>{rows}</tbody>"

    def _cell(self, head: str, text: str) -> str:
        kind = f"{self._role('cell')} class='{_kind(text)}'"
        if self._role("cell"):  # a card's cell has the head of its column
            kind += f" data-head='{html.escape(head, quote=True)}'"
        return f"<td{kind}>{_markup(text)}</td>"

    def __repr__(self) -> str:
        rows = [[text.replace("\n", ", ") for text in line] for line in self.lines]
        every = [list(self.head), *(row for row in rows if len(row) == len(self.head))]
        widths = [max(len(line[i]) for line in every) for i in range(len(self.head))]
        text = [
            "  ".join(
                cell.ljust(width) for cell, width in zip(line, widths, strict=False)
            ).rstrip()
            for line in (every[0], *rows)
        ]
        return "\n".join([self.caption, *text, *self.notes])


def _groups(lines: Sequence[Sequence[str]]) -> list[list[Sequence[str]]]:
    """The lines, cut before each heading."""
    groups: list[list[Sequence[str]]] = []
    for line in lines:
        if len(line) == 1 or not groups:
            groups.append([])
        groups[-1].append(line)
    return groups


def _kind(text: str) -> str:
    """Numbers stay on their line; a sentence gets some width where the table scrolls."""
    return "number" if len(text) < SENTENCE else "sentence"


def _markup(text: str) -> str:
    minus = re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text)
    return html.escape(minus).replace("\n", " <br>")


def _sentence(text: str) -> str:
    """A sentence whose commands, between backticks, are code that ends no line within a
    word."""

    def code(command: re.Match[str]) -> str:
        words = command[1].split()
        whole = (f"<span style='white-space: nowrap'>{word}</span>" for word in words)
        return f"<code>{' '.join(whole)}</code>"

    return re.sub(r"`([^`]+)`", code, html.escape(text))


@dataclass(frozen=True)
class Tables:
    """Several tables as one output, or a sentence where there are none."""

    tables: Sequence[Table]
    nothing: str

    def _repr_html_(self) -> str:
        shown = "".join(table._repr_html_() for table in self.tables)
        return shown or f"<p>{_sentence(self.nothing)}</p>"

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self.tables)) or self.nothing
