"""Print the built book into one file: python scripts/print_book.py _build/html _build/book.pdf (make pdf).

Chromium prints each page as a reader would; then the pages get their numbers, a title page with the contents, and one
outline. A link from one page of the book to another leads there inside the file.
"""

import functools
import http.server
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag

from check_pages import named_pages
from find_browser import on_path
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.constants import PageLabelStyle
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    Fit,
    FloatObject,
    IndirectObject,
    NameObject,
    NullObject,
)

TITLE = "The return of the recurrent network"
# Whatever a page asks for by itself is there; its explorers have drawn two frames later.
HERE = """() => document.fonts.status === 'loaded' && [...document.images].every(image => image.complete)
    && [...document.querySelectorAll('seqlab-explorer')].every(explorer => explorer.model)"""
FRAMES = """async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); }"""
PATIENCE = 300_000  # ms: a machine that does other work takes its time

# Chromium remembers where an anchor is if something on its own page leads there: here is such a link to every one.
LEAD_TO_ANCHORS = """() => {
    const links = document.createElement('div');
    links.style = 'font-size: 1px; line-height: 1px; color: transparent; overflow-wrap: anywhere';
    for (const {id} of document.querySelectorAll('article :is(section, div, figure, p, dt, span)[id]')) {
        const link = links.appendChild(document.createElement('a'));
        link.href = `#${id}`;
        link.textContent = '.';
    }
    document.querySelector('article').append(links);
}"""
HEADINGS = """() => [...document.querySelectorAll('article :is(h1, h2, h3)')].map(title => {
    const whole = title.cloneNode(true);
    whole.querySelectorAll('.headerlink, mjx-math').forEach(part => part.remove());
    return [Number(title.tagName[1]), title.closest('section').id, whole.textContent.replace(/\\s+/g, ' ').trim()];
})"""
CONTENTS_STYLE = """
    @page { size: A4; margin: 25mm 22mm }
    body { font: 11pt/1.5 "Source Serif 4", Georgia, serif; color: #26221c }
    h1 { font-size: 34pt; line-height: 1.15; margin: 70mm 0 8mm; text-wrap: balance }
    h2 { break-before: page; font-size: 18pt }
    p { display: flex; gap: 1em; margin: 0.15em 0 }
    p span:last-child { margin-left: auto; font-variant-numeric: tabular-nums }
    .section { padding-left: 1.6em; font-size: 10pt; color: #655c50 }
"""


class Heading(NamedTuple):
    """A heading of a page: h1, h2 or h3, its anchor, its words."""

    level: int
    anchor: str
    words: str


class Printed(NamedTuple):
    """A page of the site on paper: its address, its sheets, its headings in order."""

    address: str
    sheets: PdfReader
    headings: list[Heading]


@contextmanager
def serve(site: Path) -> Iterator[str]:
    """The address at which the site is on this machine, for as long as it takes."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def paper(tab: Page) -> PdfReader:
    """What the tab shows, on sheets of A4."""
    return PdfReader(io.BytesIO(tab.pdf(format="A4", prefer_css_page_size=True, print_background=True)))


def settle(tab: Page) -> None:
    """Wait until all is there and drawn."""
    tab.wait_for_function(HERE)
    tab.evaluate(FRAMES)


def print_page(tab: Page, address: str, first: int) -> Printed:
    """Print the page at an address, numbered from ``first``."""
    tab.goto(address)
    settle(tab)
    headings = [Heading(*heading) for heading in tab.evaluate(HEADINGS)]
    tab.evaluate(LEAD_TO_ANCHORS)
    tab.add_style_tag(content=f"html {{ counter-reset: page {first - 1} }}")
    return Printed(address, paper(tab), headings)


def places(printed: list[Printed], writer: PdfWriter) -> dict[tuple[str, str], ArrayObject]:
    """Where in the file each page of the site and each of its anchors is; the sheets are appended to the file."""
    found = {}
    for address, sheets, _ in printed:
        before = len(writer.pages)
        writer.append(sheets, import_outline=False)
        found[address, ""] = destination(writer, before, None)
        for name, place in sheets.named_destinations.items():
            number = sheets.get_destination_page_number(place)
            assert number is not None
            anchor = unquote(name.removeprefix("/"))
            found[address, anchor] = destination(writer, before + number, place.top)
    return found


def destination(writer: PdfWriter, number: int, top: Any) -> ArrayObject:
    """A place on a sheet, by its number in the file; the sheet's top if None."""
    height = NullObject() if top is None else FloatObject(top)
    sheet = writer.pages[number].indirect_reference
    assert isinstance(sheet, IndirectObject)
    return ArrayObject([sheet, NameObject("/XYZ"), NullObject(), height, NullObject()])


def fit(place: ArrayObject) -> Fit:
    """The same place as outlines have it."""
    return Fit.fit_horizontally() if isinstance(place[3], NullObject) else Fit.xyz(top=float(place[3]))


def lead_inside(
    writer: PdfWriter, sheets: range, address: str, found: dict[tuple[str, str], ArrayObject]
) -> None:
    """Let the links on a page's sheets lead to places in the file, and take those away that were there for Chromium."""
    site = address.split("/", 3)[2]
    for number in sheets:
        kept = ArrayObject()
        for link in writer.pages[number].get("/Annots") or []:
            annotation: Any = link.get_object()
            target = aim(annotation, address)
            if target is None or site not in target[0]:
                kept.append(link)
            elif target in found and not is_hidden(annotation):
                annotation.pop("/A", None)
                annotation[NameObject("/Dest")] = found[target]
                kept.append(link)
        writer.pages[number][NameObject("/Annots")] = kept


def aim(annotation: DictionaryObject, address: str) -> tuple[str, str] | None:
    """The page and the anchor that a link leads to; None if it is none."""
    if "/Dest" in annotation:
        return address, unquote(str(annotation["/Dest"]).removeprefix("/"))
    action: Any = annotation.get("/A")
    if action is None or "/URI" not in action:
        return None
    page, anchor = urldefrag(str(action["/URI"]))
    return page, unquote(anchor)


def is_hidden(annotation: DictionaryObject) -> bool:
    """Whether the link is one of those that no reader sees."""
    rectangle: Any = annotation["/Rect"]
    return abs(float(rectangle[3]) - float(rectangle[1])) < 2


def contents(tab: Page, host: str, printed: list[Printed]) -> PdfReader:
    """The title page, and the contents with the numbers of the pages."""
    rows, first = [], 1
    for _, sheets, headings in printed:
        at = {name.removeprefix("/"): place for name, place in sheets.named_destinations.items()}
        for level, anchor, words in headings:
            if level <= 2:
                place = at.get(anchor)
                number = first + (sheets.get_destination_page_number(place) or 0 if place else 0)
                kind = "page" if level == 1 else "section"
                rows.append(f'<p class="{kind}"><span>{escape(words)}</span><span>{number}</span></p>')
        first += len(sheets.pages)
    face = f'<link rel="stylesheet" href="{host}/_static/vendor/fonts/face.css">'
    title = f"<h1>{TITLE}</h1><div>seqlab</div><h2>Contents</h2>"
    tab.set_content(f"{face}<style>{CONTENTS_STYLE}</style>{title}{''.join(rows)}")
    settle(tab)
    return paper(tab)


def join(printed: list[Printed], front: PdfReader) -> PdfWriter:
    """One file: the front, numbered in Roman figures, the pages, and an outline of all headings."""
    writer = PdfWriter()
    writer.append(front, import_outline=False)
    first = len(front.pages)
    found = places(printed, writer)
    for address, sheets, headings in printed:
        lead_inside(writer, range(first, first + len(sheets.pages)), address, found)
        first += len(sheets.pages)
        parents: dict[int, Any] = {0: None}
        for level, anchor, words in headings:
            place = found.get((address, anchor), found[address, ""])
            above = max(depth for depth in parents if depth < level)
            number = writer.get_page_number(place[0].get_object())
            assert number is not None
            parents = {depth: item for depth, item in parents.items() if depth < level}
            parents[level] = writer.add_outline_item(
                title=words, page_number=number, parent=parents[above], fit=fit(place)
            )
    writer.set_page_label(0, len(front.pages) - 1, style=PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(len(front.pages), len(writer.pages) - 1, style=PageLabelStyle.DECIMAL, start=1)
    writer.add_metadata({"/Title": TITLE})
    writer.compress_identical_objects()
    return writer


def print_book(site: Path, names: list[str], target: Path) -> int:
    """Print the pages of the site, by their names, into the file; returns how many sheets it has."""
    with serve(site) as host, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=on_path() or playwright.chromium.executable_path,
            args=["--no-sandbox", "--disable-gpu"],
        )
        tab = browser.new_page(color_scheme="light", viewport={"width": 1000, "height": 1400})
        tab.set_default_timeout(PATIENCE)
        printed: list[Printed] = []
        for name in names:
            first = 1 + sum(len(page.sheets.pages) for page in printed)
            printed.append(print_page(tab, f"{host}/{name}.html", first))
        writer = join(printed, contents(tab, host, printed))
        browser.close()
    writer.write(target)
    return len(writer.pages)


if __name__ == "__main__":
    site, target = map(Path, sys.argv[1:3])
    count = print_book(site, named_pages(), target)
    print(f"{target}: {count} pages, {target.stat().st_size / 1e6:.1f} MB")
