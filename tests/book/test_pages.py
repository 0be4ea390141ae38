"""The built pages as files: links lead somewhere, pictures are described, nothing comes from another host."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from check_pages import missing_pages, named_pages

PAGES = named_pages()
MOST_ELEMENTS = 40_000  # a formula is some thirty
MOST_CHARACTERS = 92  # of a printed line: as many are seen at 1280 px
FORMULA = re.compile(r'(<(?:span|div) class="math"[^>]*>)(.*?)(</(?:span|div)>)', re.DOTALL)
GLYPH = re.compile(r"\bmjx-c[0-9A-F]+\b")
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]


@pytest.fixture(scope="module")
def soup(site):
    """soup(path) parses a built page, once, without what is inside its formulas."""

    @cache
    def parse(path):
        return BeautifulSoup(FORMULA.sub(r"\1\3", path.read_text("utf8")), "html.parser")

    return parse


@pytest.fixture(scope="module")
def anchors(soup):
    """anchors(path): every anchor of a built page."""

    @cache
    def collect(path):
        return {tag["id"] for tag in soup(path).find_all(id=True)}

    return collect


def test_every_page_was_built(site):
    assert missing_pages(site) == []


def test_a_missing_page_is_noticed(tmp_path):
    assert missing_pages(tmp_path) == [*PAGES, "index", "search", "the index of the search"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_on_the_site_leads_somewhere(site, soup, anchors, page):
    path = site / f"{page}.html"
    broken = []
    for link in soup(path).select("a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        anchored = parts.fragment and target.suffix == ".html"
        if not target.is_file() or (anchored and unquote(parts.fragment) not in anchors(target)):
            broken.append(link["href"])
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_is_described(site, soup, page):
    content = soup(site / f"{page}.html").select_one("article.bd-article")
    silent = [image.get("src") for image in content.select("img") if Path(image.get("alt", "")).suffix]
    silent += [image.get("src") for image in content.select("img") if not image.get("alt", "").strip()]
    silent += [str(svg)[:80] for svg in content.select("figure svg") if not svg.get("aria-label", "").strip()]
    assert silent == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded_from_another_host(site, soup, page):
    loaded = soup(site / f"{page}.html").select(
        "script[src], link[href]:not([rel=canonical]), img[src], iframe[src]"
    )
    foreign = [tag.get("src") or tag.get("href") for tag in loaded]
    assert [url for url in foreign if urlsplit(url).netloc] == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_chapters_print_source_that_links_to_their_own_equations(site, soup, page):
    number = int(Path(page).name.partition("_")[0])
    assert soup(site / f"{page}.html").select(f".seqlab-source a[href*='#eq-{number}-']")


@pytest.mark.parametrize("page", CHAPTERS)
def test_no_error_was_printed(site, soup, page):
    article = soup(site / f"{page}.html").select_one("article.bd-article")
    assert article.select(".output.traceback, .output.error") == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_what_is_printed_fits_its_column(site, soup, page):
    printed = soup(site / f"{page}.html").select(".cell:not(.tag_setup) .output.stream pre")
    lines = [line for output in printed for line in output.get_text().splitlines()]
    assert [line for line in lines if len(line) > MOST_CHARACTERS] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_formula_is_set_before_a_reader_comes(site, page):
    text = (site / f"{page}.html").read_text("utf8")
    formulas = [found.groups() for found in FORMULA.finditer(text)]
    assert len(formulas) == text.count('class="math"')
    for opening, inside, _ in formulas:
        assert "<mjx-math" in inside
        assert "<math" in inside  # for a screen reader
        assert "<mjx-merror" not in inside
        assert "<mjx-labels" in inside or 'id="eq-' not in opening
    assert "mathjax/" not in text


def test_the_style_sheet_has_the_characters_of_every_formula(site):
    files = [*(site / f"{page}.html" for page in PAGES), *(site / "_static" / "equations").iterdir()]
    used = {name for file in files for name in GLYPH.findall(file.read_text("utf8"))}
    style = (site / "_static" / "mathematics" / "formulas.css").read_text("utf8")
    assert len(used) > 100
    assert [name for name in used if f".{name}" not in style] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_not_too_many_elements(site, page):
    assert (site / f"{page}.html").read_text("utf8").count("</") < MOST_ELEMENTS


def test_every_numbered_equation_can_be_shown_elsewhere(site, anchors):
    shown = {file.stem for file in (site / "_static" / "equations").iterdir()}
    assert shown == {
        name for page in CHAPTERS for name in anchors(site / f"{page}.html") if name.startswith("eq-")
    }


def test_every_page_is_described_in_its_own_words(site, soup):
    heads = [soup(site / f"{page}.html").head for page in PAGES]
    said = [head.select_one("meta[name=description]")["content"] for head in heads]
    assert [text for text in said if not 40 <= len(text) <= 310] == []
    assert len(set(said)) == len(said)
    for text, head in zip(said, heads, strict=True):
        assert head.select_one("meta[property='og:description']")["content"] == text
        assert head.select_one("meta[property='og:title']")["content"]


def test_no_page_shows_a_path_of_the_machine_it_was_built_on(site):
    root = str(Path(__file__).parents[2])
    pages = sorted(site.rglob("*.html"))
    assert pages
    shown = [page.name for page in pages if root in (text := page.read_text("utf8")) or "PosixPath(" in text]
    assert shown == []
