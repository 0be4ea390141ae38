"""Where sheets end, in the book's own style: no name and no head of something stands alone at the foot of one, and a
listing leaves no sheet half empty."""

import io

import page
import pytest
from pypdf import PdfReader

pytestmark = pytest.mark.browser

TABS = """<div class="sd-tab-set docutils">
<input checked type="radio" id="tab-1" name="tabs"><label class="sd-tab-label" for="tab-1">NumPy</label>
<div class="sd-tab-content"><div class="highlight"><pre>first listing</pre></div></div>
<input type="radio" id="tab-2" name="tabs"><label class="sd-tab-label" for="tab-2">Triton</label>
<div class="sd-tab-content"><div class="highlight"><pre>second listing\n\n\n\n\n</pre></div></div>
</div>"""
TABLE = """<table class="table table-measurements"><caption>Record</caption>
<thead><tr><th>Version</th><th>ms</th></tr></thead>
<tbody><tr><th class="table-heading" colspan="2">Workload</th></tr>
<tr><th>limit</th><td>1</td></tr></tbody></table>"""
CARD = """<div class="sd-col sd-d-flex-row"><div class="sd-card"><div class="sd-card-body">
{} card<br><br><br><br>text</div></div></div>"""
CARDS = f"""<h2>The cards</h2><div class="sd-container-fluid"><div class="sd-row sd-row-cols-1 sd-row-cols-md-2 sd-g-3">
{CARD.format("First")}\n{CARD.format("Second")}</div></div>"""
SHORT_TABLE = f"""<table class="table table-measurements"><caption>Record</caption>
<thead><tr><th>Version</th></tr></thead>
<tbody>{"".join(f"<tr><th>row{n}</th></tr>" for n in range(5))}</tbody></table>"""
CAPTIONED = """<div class="cell"><div class="cell_output"><div>drawn<br><br><br>explorer</div></div></div>
<p class="figure-caption">Caption</p>"""
TOLD = """<div class="cell_output"><p>What was measured</p><div class="output text_html">
<figure class="seqlab-figure"><div style="height: 5em">drawn</div></figure></div></div>"""
FOOTS = range(2, 16)  # lines that are left on the sheet


@pytest.fixture(scope="module")
def printed(browser, server):
    """printed(html) -> the text of all sheets, with the piece at the foot of one after another, a line lower each."""
    tab = browser.new_page()
    tab.goto(f"{server.address}/book/api.html")  # which has the styles of tabs and cards

    def print_out(piece):
        pieces = [
            f'<div style="break-before: page; height: calc(297mm - 38mm - {lines} * 1.5em)">begin</div>{piece}'
            for lines in FOOTS
        ]
        tab.evaluate("html => document.querySelector('article').innerHTML = html", "".join(pieces))
        sheets = PdfReader(io.BytesIO(tab.pdf(format="A4", prefer_css_page_size=True))).pages
        return [" ".join(sheet.extract_text().split()) for sheet in sheets]

    yield print_out
    tab.close()


@pytest.mark.parametrize(
    ("piece", "together"),
    [
        (TABS, [("NumPy", "first"), ("Triton", "second")]),
        (TABLE, [("Record", "Version", "Workload", "limit")]),
        (SHORT_TABLE, [("Record", "Version", "row0", "row4")]),
        (CARDS, [("The cards", "First")]),
        (CAPTIONED, [("drawn", "explorer", "Caption")]),
        (TOLD, [("What was measured", "drawn")]),
    ],
    ids=["tabs", "table", "short table", "cards", "caption", "words above a figure"],
)
def test_no_head_stands_alone_at_the_foot_of_a_sheet(printed, piece, together):
    sheets = printed(piece)
    assert len(sheets) > len(FOOTS)  # some of the pieces had no room
    for words in together:
        assert sum(words[0] in sheet for sheet in sheets) == len(FOOTS)
        parted = [sheet for sheet in sheets if len({word in sheet for word in words}) > 1]
        assert parted == []


def test_a_long_table_begins_on_the_sheet_where_it_is_announced_and_goes_on_by_groups(printed):
    groups = "".join(
        f'<tbody><tr><th class="table-heading" colspan="2">Workload{n}</th></tr><tr><th>limit{n}</th><td>1</td></tr>'
        f"<tr><th>time{n}</th><td>2</td></tr></tbody>"
        for n in range(20)
    )
    sheets = printed(TABLE[: TABLE.index("<tbody>")] + groups + "</table>")
    assert (
        sum("begin" in sheet and "limit0" in sheet for sheet in sheets) > 3
    )  # all of whose feet have the room
    assert all(sheet.count("Workload") == sheet.count("time") for sheet in sheets)


def listing(lines):
    """A listing of the package under its name, of so many lines, in the markup of an output."""
    code = "".join(f"line{number}\n" for number in range(lines))
    return f"""<div class="cell_output"><div class="output text_html"><div class="seqlab-source highlight">
<div><code>reference.py</code></div>{page.long_listings(f"<pre>{code}</pre>")}</div></div></div>"""


@pytest.mark.parametrize(("lines", "parted"), [(page.LONG - 1, False), (page.LONG, True), (40, True)])
def test_a_long_listing_goes_on_on_the_next_sheet_and_a_short_one_stays_whole(printed, lines, parted):
    found = [[word for word in sheet.split() if word.startswith("line")] for sheet in printed(listing(lines))]
    assert sum(map(len, found)) == lines * len(FOOTS)
    assert (min(map(len, filter(None, found))) < lines) == parted
    assert all(len(words) >= 8 for words in found if words)


def test_a_listing_stands_under_its_name(printed):
    sheets = printed(listing(40))
    assert all("line0" in sheet for sheet in sheets if "reference.py" in sheet)
