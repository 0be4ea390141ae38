"""The built pages as files: links lead somewhere, pictures are described, nothing comes from another host."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from check_pages import missing_pages, named_pages

PAGES = named_pages()
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]


@pytest.fixture(scope="module")
def soup(site):
    """soup(path) parses a built page, once."""
    parsed = {}

    def parse(path):
        if path not in parsed:
            parsed[path] = BeautifulSoup(path.read_text("utf8"), "html.parser")
        return parsed[path]

    return parse


def test_every_page_was_built(site):
    assert missing_pages(site) == []


def test_a_missing_page_is_noticed(tmp_path):
    assert missing_pages(tmp_path) == [*PAGES, "index", "search"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_on_the_site_leads_somewhere(site, soup, page):
    path = site / f"{page}.html"
    broken = []
    for link in soup(path).select("a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file() or not has_anchor(soup, target, unquote(parts.fragment)):
            broken.append(link["href"])
    assert broken == []


def has_anchor(soup, target, fragment):
    return not fragment or target.suffix != ".html" or soup(target).find(id=fragment) is not None


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


def test_no_page_shows_a_path_of_the_machine_it_was_built_on(site):
    root = str(Path(__file__).parents[2])
    pages = sorted(site.rglob("*.html"))
    assert pages
    shown = [page.name for page in pages if root in (text := page.read_text("utf8")) or "PosixPath(" in text]
    assert shown == []
