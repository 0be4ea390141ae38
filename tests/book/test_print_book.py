"""The book as one PDF, on the smallest site: two pages that lead to each other."""

import pytest
from print_book import TITLE, print_book
from pypdf import PdfReader

pytestmark = pytest.mark.browser

ONE = """<article><section id="one"><h1>One</h1><p>To <a href="two.html#deep">the other</a>, <a href="#here">here</a>,
<a href="https://example.org/">elsewhere</a> and to <a href="missing.html">nothing</a>.</p></section>
<section id="here" style="break-before: page"><h2>Here, in
two lines</h2></section></article>"""
TWO = """<article><section id="two"><h1>Two</h1><p>Text.</p></section>
<section id="deep" style="break-before: page"><h2>Deep</h2><h3>Deeper</h3></section>
<seqlab-explorer></seqlab-explorer></article>
<script>
  setInterval(() => fetch("one.html"), 50);  // the network is never idle
  const explorer = document.querySelector("seqlab-explorer");
  setTimeout(() => Object.assign(explorer, { model: {}, textContent: "Drawn." }), 700);
</script>"""
NUMBERS = "<style>@page { margin: 2cm; @bottom-center { content: counter(page) } }</style>"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The two pages, printed into one file."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "one.html").write_text(NUMBERS + ONE)
    (folder / "two.html").write_text(NUMBERS + TWO)
    assert print_book(folder, ["one", "two"], folder / "book.pdf") == 6
    return PdfReader(folder / "book.pdf")


def test_title_and_contents_come_before_the_numbered_pages(book):
    texts = [page.extract_text().split("\n") for page in book.pages]
    assert " ".join(texts[0]).startswith(TITLE)
    assert [line.split() for line in texts[1][1:]] == [
        ["One", "1"],
        ["Here,", "in", "two", "lines", "2"],
        ["Two", "3"],
        ["Deep", "4"],
    ]
    assert [text[0] for text in texts[2:]] == ["1", "2", "3", "4"]
    assert book.page_labels == ["i", "ii", "1", "2", "3", "4"]


def test_a_page_is_printed_once_its_explorers_are_drawn(book):
    assert "Drawn." in book.pages[-1].extract_text()


def test_the_outline_has_every_heading_at_its_page(book):
    def flat(items, depth=0):
        for item in items:
            if isinstance(item, list):
                yield from flat(item, depth + 1)
            else:
                yield depth, item.title, book.get_destination_page_number(item)

    assert list(flat(book.outline)) == [
        (0, "One", 2),
        (1, "Here, in two lines", 3),
        (0, "Two", 4),
        (1, "Deep", 5),
        (2, "Deeper", 5),
    ]


def test_links_stay_inside_where_the_book_has_the_page(book):
    links = [link.get_object() for page in book.pages for link in page.get("/Annots") or []]
    inside = [book.get_page_number(link["/Dest"][0].get_object()) for link in links if "/Dest" in link]
    outside = [link["/A"]["/URI"] for link in links if "/A" in link]
    assert inside == [5, 3]
    assert outside == ["https://example.org/"]
