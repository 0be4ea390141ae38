"""The search on the built site: which section comes first, and that one gets there with a keyboard."""

from urllib.parse import urldefrag

import pytest

pytestmark = pytest.mark.browser

ZERO_ORDER_HOLD = "notebooks/05_discretization.html#zero-order-hold"
COLAB = "book/setup.html#on-colab-and-other-hosted-notebooks"
STABILIZER = "notebooks/09_xlstm.html#the-stabilizer-exactly"

# What readers ask, and a section that has to be among the first three.
QUERIES = {
    "zero order hold": ZERO_ORDER_HOLD,
    "zero-order hold": ZERO_ORDER_HOLD,
    "ZOH": ZERO_ORDER_HOLD,
    "Euler": "notebooks/05_discretization.html#euler-backward-euler-bilinear",
    "Tustin": "notebooks/05_discretization.html#euler-backward-euler-bilinear",
    "bf16": COLAB,
    "T4": COLAB,
    "install": "book/setup.html",
    "conda": "book/setup.html#with-conda",
    "vanishing gradient": "notebooks/01_why_recurrence_came_back.html#how-fast-it-vanishes-exactly",
    "associative scan": "notebooks/02_linear_scan.html#work-and-depth",
    "HiPPO": "notebooks/04_hippo.html",
    "Legendre": "notebooks/04_hippo.html#two-identities-of-legendre-polynomials",
    "FFT padding": "notebooks/06_convolution_or_recurrence.html#by-fourier-transforms-and-why-they-need-padding",
    "token shift": "notebooks/08_rwkv.html#token-shift",
    "mask": "notebooks/09_xlstm.html#parallel-gated-attention",
    "stabilizer": STABILIZER,
    "stabiliser": STABILIZER,
    "selective copying": "notebooks/10_mamba.html#what-a-trained-layer-skips",
    "linear_scan": "book/api.html#seqlab.ops.linear_scan",
}
ASK = """async queries => {
    const { search } = await import(new URL('_static/js/search.mjs', document.baseURI));
    return Promise.all(queries.map(search));
}"""


@pytest.fixture(scope="module")
def tab(browser, server):
    """The search page."""
    tab = browser.new_page()
    tab.goto(f"{server.address}/search.html")
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def answers(tab, server):
    """What is found for each query: the addresses of the best sections, best first, and what is quoted of them."""
    found = tab.evaluate(ASK, list(QUERIES))
    return {
        query: [
            (section["address"].removeprefix(f"{server.address}/"), section) for section in answer["sections"]
        ]
        for query, answer in zip(QUERIES, found, strict=True)
    }


@pytest.mark.parametrize("query", QUERIES)
def test_readers_find_what_they_ask_for(answers, query):
    assert QUERIES[query] in [address for address, _ in answers[query][:3]]


def test_every_section_that_is_found_is_there(answers, site):
    for address, _ in {found[0]: found for sections in answers.values() for found in sections}.values():
        page, anchor = urldefrag(address)
        assert not anchor or f'id="{anchor}"' in (site / page).read_text("utf8"), address


def test_neither_code_nor_tex_is_quoted(answers):
    quoted = [section["excerpt"] for sections in answers.values() for _, section in sections]
    assert quoted
    assert [
        text
        for text in quoted
        if any(mark in text for mark in ("\\", "$", "import ", "assert ", "NO_TRITON"))
    ] == []


def test_a_name_of_the_package_comes_first(answers):
    assert answers["linear_scan"][0][0] == QUERIES["linear_scan"]


def test_one_gets_from_any_page_to_a_section_by_keyboard_alone(tab, server):
    tab.goto(f"{server.address}/book/license.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type("zoh")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=zoh")
    first = tab.locator("#search-results a").first
    first.wait_for()
    assert tab.locator("#search-said").inner_text().startswith("The best 12 of")
    assert tab.evaluate("document.activeElement.matches('.search-page input')")
    while not first.evaluate("link => link === document.activeElement"):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/{ZERO_ORDER_HOLD}")


def test_what_is_not_there_is_said(tab, server):
    tab.goto(f"{server.address}/search.html")
    tab.locator(".search-page input").fill("xylophone")
    tab.get_by_text("Nothing was found.").wait_for()
    assert tab.locator("#search-results li").count() == 0


def test_without_javascript_it_says_so(browser, server):
    tab = browser.new_page(java_script_enabled=False)
    tab.goto(f"{server.address}/search.html")
    assert tab.get_by_text("The search needs JavaScript").is_visible()
    assert not tab.locator(".search-page input").is_visible()
    tab.close()
