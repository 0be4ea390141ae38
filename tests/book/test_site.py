"""The built site in a real browser, with every other host out of reach."""

import pytest
from check_pages import named_pages

pytestmark = pytest.mark.browser

PAGES = [*named_pages(), "search"]
CHAPTERS = [page for page in named_pages() if page.startswith("notebooks/")]
WITH_EXPLORER = ["book/index", "notebooks/03_lru", "notebooks/04_hippo", "notebooks/05_discretization"]
FIRST_VISIT = 2_500_000  # bytes, uncompressed
SHADES = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}}
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
FORMULAS_ARE_SET = """async () => {
    await window.MathJax?.startup?.promise;
    return [...document.querySelectorAll('.math')].every(formula => formula.querySelector('mjx-container'));
}"""

# A page has up to ten thousand elements of typeset formulas, and thousands of colored words of code: fifty formulas
# and one word of each color and kind of listing say all that there is to say about contrast and roles.
THIN_OUT = """() => {
    [...document.querySelectorAll('mjx-container')].slice(50).forEach(formula => formula.remove());
    const seen = new Set();
    for (const word of document.querySelectorAll('.highlight span[class]')) {
        const kind = `${word.className} in ${word.closest('.highlight').parentElement.className}`;
        if (seen.has(kind)) word.remove();
        seen.add(kind);
    }
}"""


class Visitor:
    """Opens pages as a new visitor, and keeps a list of whatever went wrong or left this machine."""

    def __init__(self, browser, server):
        self.browser, self.address = browser, server.address
        self.contexts, self.complaints = [], []

    def open(self, page, **options):
        context = self.browser.new_context(**{"viewport": DESKTOP, **options})
        self.contexts.append(context)
        context.route("**/*", self.guard)
        tab = context.new_page()
        tab.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        tab.on(
            "console", lambda said: said.type == "error" and self.complaints.append(f"console: {said.text}")
        )
        tab.on(
            "response", lambda got: got.status >= 400 and self.complaints.append(f"{got.status}: {got.url}")
        )
        tab.goto(f"{self.address}/{page}")
        tab.wait_for_load_state("networkidle")
        tab.evaluate(FORMULAS_ARE_SET)
        return tab

    def guard(self, route):
        url = route.request.url
        if url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.complaints.append(f"another host: {url}")
            route.abort()

    def leave(self):
        for context in self.contexts:
            context.close()
        assert self.complaints == []


@pytest.fixture(scope="module", params=PAGES)
def page(request, browser, server):
    """Each page of the site, opened once: (tab, what was sent on that first visit)."""
    visitor = Visitor(browser, server)
    server.sent.clear()
    tab = visitor.open(f"{request.param}.html")
    yield tab, dict(server.sent)
    visitor.leave()


@pytest.fixture
def visit(browser, server):
    """visit(page, **context) opens a page."""
    visitor = Visitor(browser, server)
    yield visitor.open
    visitor.leave()


def unfold(tab):
    """Open everything that starts folded: it has to be right as well."""
    tab.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    tab.wait_for_timeout(200)


def test_a_first_visit_is_light(page):
    _, sent = page
    assert sum(sent.values()) < FIRST_VISIT, sorted(sent.items(), key=lambda item: -item[1])[:8]


def test_every_formula_is_set(page):
    tab, _ = page
    assert tab.evaluate(FORMULAS_ARE_SET)
    assert tab.locator("mjx-merror").count() == 0
    numbered = tab.locator("div.math[id^='eq-']").count()
    assert tab.locator("div.math[id^='eq-'] mjx-labels").count() == numbered


def test_it_has_a_title(page):
    tab, _ = page
    assert tab.title()
    assert tab.locator("main :is(h1, h2)").count() >= 1


def test_the_keyboard_reaches_the_text(page):
    tab, _ = page
    tab.reload()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.closest('#pst-skip-link') !== null")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.closest('main') !== null")


def test_nothing_scrolls_sideways_on_a_phone(page):
    tab, _ = page
    tab.set_viewport_size({"width": 360, "height": 740})
    unfold(tab)
    wide = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]


def test_no_formula_is_cut_off_on_a_phone(page):
    tab, _ = page
    tab.set_viewport_size({"width": 360, "height": 740})
    cut = """[...document.querySelectorAll('div.math')].filter(box => box.checkVisibility()).filter(box => {
        const glyphs = [...box.querySelectorAll('mjx-c')].map(glyph => glyph.getBoundingClientRect());
        const left = Math.min(...glyphs.filter(glyph => glyph.width > 0).map(glyph => glyph.left));
        box.scrollLeft = 0;
        return left < box.getBoundingClientRect().left - 1;
    }).map(box => box.id || box.textContent.slice(0, 60))"""
    assert tab.evaluate(cut) == []


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_accessible(page, axe, shade):
    """The last look at a page, of which it takes away what is there a thousand times."""
    tab, _ = page
    tab.set_viewport_size(DESKTOP)
    tab.emulate_media(color_scheme=shade)
    tab.wait_for_function("shade => document.documentElement.dataset.theme === shade", arg=shade)
    unfold(tab)
    # The keyboard's last stop may still show its tooltip, which has no contrast while it fades.
    tab.evaluate("document.activeElement.blur()")
    tab.wait_for_function("document.querySelector('.tooltip') === null")
    tab.evaluate(THIN_OUT)
    tab.evaluate(axe)
    report = tab.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    violations = [
        f"{found['id']} ({found['impact']}): " + "; ".join(node["html"][:160] for node in found["nodes"][:4])
        for found in report["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert violations == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapters_number_their_equations(visit, chapter):
    assert visit(f"{chapter}.html").locator("div.math[id^='eq-']").count() >= 5


def test_what_scrolls_sideways_can_be_focused(visit):
    tab = visit("notebooks/02_linear_scan.html", **PHONE)
    tab.wait_for_timeout(300)
    scrolling = """[...document.querySelectorAll('div.math, figure, pre, .pst-scrollable-table-container')].filter(
        box => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1
            && /auto|scroll/.test(getComputedStyle(box).overflowX))"""
    assert tab.evaluate(f"{scrolling}.length") > 0
    assert tab.evaluate(f"{scrolling}.filter(box => !box.closest('[tabindex=\"0\"]')).length") == 0


@pytest.mark.parametrize("shade", SHADES)
def test_outputs_have_no_slab_of_the_other_shade(visit, shade):
    tab = visit("notebooks/02_linear_scan.html", **SHADES[shade])
    backgrounds = tab.evaluate(
        """[...document.querySelectorAll('div.cell_output .output, figure.seqlab-figure, seqlab-explorer')]
            .map(box => getComputedStyle(box).backgroundColor)"""
    )
    assert backgrounds
    assert set(backgrounds) == {"rgba(0, 0, 0, 0)"}


@pytest.mark.parametrize("explored", WITH_EXPLORER)
def test_explorers_are_alive(visit, explored):
    tab = visit(f"{explored}.html")
    explorer = tab.locator("seqlab-explorer").first
    explorer.scroll_into_view_if_needed()
    explorer.locator("svg, canvas").first.wait_for()
    assert tab.evaluate("document.querySelector('seqlab-explorer').matches(':defined')")
    assert explorer.locator("input, select").count() > 0
    assert "needs JavaScript" not in explorer.inner_text()


def test_search_works_without_a_network(visit):
    tab = visit("search.html?q=eigenvalue")
    tab.locator("#search-results li").first.wait_for()
    assert tab.locator("#search-results li a").count() > 0


def test_the_root_leads_to_the_book(visit):
    tab = visit("index.html")
    tab.wait_for_url("**/book/index.html")
    assert tab.locator("article h1").is_visible()


def test_solutions_start_folded_and_open_from_the_keyboard(visit):
    tab = visit("notebooks/02_linear_scan.html")
    solution = tab.locator("details.solution").first
    assert not solution.evaluate("details => details.open")
    solution.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert solution.evaluate("details => details.open")
