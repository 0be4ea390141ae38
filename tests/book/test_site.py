"""The built site in a real browser, with every other host out of reach."""

import pytest
from bs4 import BeautifulSoup
from check_pages import named_pages

pytestmark = pytest.mark.browser

PAGES = [*named_pages(), "search"]
CHAPTERS = [page for page in named_pages() if page.startswith("notebooks/")]
WITH_EXPLORER = ["book/index", "notebooks/03_lru", "notebooks/04_hippo", "notebooks/05_discretization"]
FIRST_VISIT = 2_500_000  # bytes, uncompressed
SHADES = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}}
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # no other host has an address
# Whatever a page asks for by itself is there: its fonts and its explorers' modules, which come after "load".
HERE = """() => document.fonts.status === 'loaded'
    && [...document.querySelectorAll('seqlab-explorer')].every(explorer => explorer.model)"""
# An explorer says in words what it shows once it stands still.
DESCRIBED = """() => [...document.querySelectorAll('seqlab-explorer')].every(explorer =>
    [...explorer.querySelectorAll('[role=slider]')].every(handle => handle.hasAttribute('aria-valuenow'))
    && [...explorer.querySelectorAll('canvas[role=img]')].every(plot => plot.hasAttribute('aria-label')))"""
# What fades has no contrast on its way. An animation's end is not waited for: of what is out of sight it never comes.
AT_ONCE = "*, ::before, ::after { transition: none !important; animation: none !important; }"
COLOR_RULES = ["color-contrast", "link-in-text-block"]
# A box that changes its size is looked at in that frame, and offered to the keyboard (reach.mjs) in the next.
FRAMES = """async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); }"""
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
        context.on("request", self.guard)
        tab = context.new_page()
        tab.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        tab.on(
            "console", lambda said: said.type == "error" and self.complaints.append(f"console: {said.text}")
        )
        tab.on(
            "response", lambda got: got.status >= 400 and self.complaints.append(f"{got.status}: {got.url}")
        )
        tab.goto(f"{self.address}/{page}")
        if options.get("java_script_enabled", True):
            tab.wait_for_function(HERE)
        return tab

    def guard(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"another host: {request.url}")

    def leave(self):
        for context in self.contexts:
            context.close()
        assert self.complaints == []


@pytest.fixture(scope="module")
def browser(launch):
    """A Chromium that finds no host but this machine."""
    return launch(ALONE)


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
    tab.evaluate(FRAMES)


def test_a_first_visit_is_light(page):
    _, sent = page
    assert sum(sent.values()) < FIRST_VISIT, sorted(sent.items(), key=lambda item: -item[1])[:8]


def test_only_the_search_loads_an_index(page):
    _, sent = page
    indexed = [path for path in sent if "pagefind" in path or "searchindex" in path]
    assert indexed == []


def test_it_has_a_title(page):
    tab, _ = page
    assert tab.title()
    assert tab.locator("main :is(h1, h2)").count() >= 1


def test_the_keyboard_reaches_the_text(page):
    tab, _ = page
    tab.reload()
    tab.wait_for_function(HERE)
    if tab.url.endswith("/search.html"):  # its field has the focus at once
        assert tab.evaluate("document.activeElement.closest('main') !== null")
        return
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


def test_a_figure_that_nearly_fits_a_phone_fits(page):
    tab, _ = page
    tab.set_viewport_size({"width": 360, "height": 740})
    unfold(tab)
    wide = tab.evaluate(
        "[...document.querySelectorAll('figure.seqlab-figure')].map(box => box.scrollWidth / box.clientWidth)"
    )
    assert [excess for excess in wide if 1.001 < excess < 1.1] == []


def test_a_table_of_many_columns_scrolls_beside_its_first_on_a_phone(page):
    tab, _ = page
    tab.set_viewport_size({"width": 360, "height": 740})
    unfold(tab)
    gone = """[...document.querySelectorAll('table.table-beside')].filter(table => {
        const box = table.parentElement;
        box.scrollLeft = 50;
        const left = box.getBoundingClientRect().left;
        const stay = 'caption, tr > :first-child:not(.table-heading), .table-heading > span';
        return [...table.querySelectorAll(stay)].some(part => Math.abs(part.getBoundingClientRect().left - left) > 1);
    }).map(table => table.caption.textContent)"""
    assert tab.evaluate(gone) == []


PAGES_OF_RECORDS = (
    "/notebooks/02_linear_scan.html",
    "/notebooks/05_discretization.html",
    "/book/performance.html",
)


def test_tables_of_records_fit_their_column(page):
    """On a phone those of few columns do: the others scroll beside their first."""
    tab, _ = page
    for size, kind in ((DESKTOP, ""), (PHONE["viewport"], ":not(.table-beside)")):
        tab.set_viewport_size(size)
        unfold(tab)
        tables = tab.evaluate(
            f"""[...document.querySelectorAll('.pst-scrollable-table-container:has(.table-measurements{kind})')].map(
                box => [box.querySelector('caption').textContent, box.scrollWidth - box.clientWidth])"""
        )
        assert tables or not tab.url.endswith(PAGES_OF_RECORDS)
        assert [caption for caption, excess in tables if excess > 1] == []


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


def test_a_name_in_a_table_stays_whole_where_there_is_room(page):
    tab, _ = page
    tab.set_viewport_size(DESKTOP)
    unfold(tab)
    broken = """[...document.querySelectorAll('article td code.literal > .pre')].filter(
        name => /^\\w+$/.test(name.textContent) && new Set([...name.getClientRects()].map(part => part.top)).size > 1
        ).map(name => name.textContent)"""
    assert tab.evaluate(broken) == []


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_accessible(page, axe, shade):
    """The last look at a page, of which it takes away what is there a thousand times. In the dark colors change."""
    tab, _ = page
    tab.set_viewport_size(DESKTOP)
    tab.add_style_tag(content=AT_ONCE)
    tab.emulate_media(color_scheme=shade)
    tab.wait_for_function("shade => document.documentElement.dataset.theme === shade", arg=shade)
    unfold(tab)
    # The keyboard's last stop may still show its tooltip.
    tab.evaluate("document.activeElement.blur()")
    tab.wait_for_function("document.querySelector('.tooltip') === null")
    tab.wait_for_function(DESCRIBED)
    tab.evaluate(THIN_OUT)
    tab.evaluate(axe)
    rules = {"runOnly": {"type": "rule", "values": COLOR_RULES}} if shade == "dark" else {}
    report = tab.evaluate(
        "rules => axe.run(document, {resultTypes: ['violations'], preload: false, ...rules})", rules
    )
    violations = [
        f"{found['id']} ({found['impact']}): " + "; ".join(node["html"][:160] for node in found["nodes"][:4])
        for found in report["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert violations == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapters_number_their_equations(site, chapter):
    page = BeautifulSoup((site / f"{chapter}.html").read_text("utf8"), "html.parser")
    assert len(page.select("div.math[id^='eq-']")) >= 5


def test_what_scrolls_sideways_can_be_focused_and_shows_where_it_goes_on(visit):
    tab = visit("notebooks/02_linear_scan.html", **PHONE)
    tab.evaluate(FRAMES)
    scrolling = """[...document.querySelectorAll('div.math, figure, pre, .pst-scrollable-table-container')].filter(
        box => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1
            && /auto|scroll/.test(getComputedStyle(box).overflowX))"""
    assert tab.evaluate(f"{scrolling}.length") > 0
    assert tab.evaluate(f"{scrolling}.filter(box => !box.closest('[tabindex=\"0\"]')).length") == 0
    bare = "box => !getComputedStyle(box.closest('[tabindex=\"0\"]')).backgroundImage.includes('gradient')"
    assert tab.evaluate(f"{scrolling}.filter({bare}).map(box => box.outerHTML.slice(0, 90))") == []


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


def test_formulas_stand_there_without_javascript(visit):
    tab = visit("notebooks/05_discretization.html", java_script_enabled=False)
    box = tab.locator("#eq-5-2 mjx-math").bounding_box()
    assert box["width"] > 200
    assert box["height"] > 20


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


def test_a_link_to_an_equation_shows_it(visit):
    tab = visit("notebooks/05_discretization.html")
    preview = tab.locator("#equation-preview")
    link = tab.locator("article p a[href$='#eq-5-2']").first
    link.scroll_into_view_if_needed()
    link.hover()
    preview.locator("mjx-container").wait_for()
    assert preview.inner_text().startswith("(5.2)")
    assert link.get_attribute("aria-describedby") == "equation-preview"
    preview.hover()  # it stays while the pointer is on it
    tab.wait_for_timeout(400)
    assert preview.is_visible()
    tab.keyboard.press("Escape")
    assert not preview.is_visible()
    assert link.get_attribute("aria-describedby") is None


def test_an_equation_is_shown_on_focus_from_the_keyboard(visit):
    tab = visit("notebooks/05_discretization.html")
    preview = tab.locator("#equation-preview")
    link = tab.locator("article p a[href$='#eq-5-2']").first
    link.scroll_into_view_if_needed()
    tab.keyboard.press("Shift")  # the browser now takes the reader for one at a keyboard
    link.focus()
    preview.locator("mjx-container").wait_for()
    box, width = preview.bounding_box(), tab.viewport_size["width"]
    assert box["x"] >= 0 <= width - box["x"] - box["width"]
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('aria-describedby')") in (
        None,
        "equation-preview",
    )
    assert link.get_attribute("aria-describedby") is None
    tab.keyboard.press("Escape")
    assert not preview.is_visible()


def test_tabs_are_chosen_from_the_keyboard_and_all_printed(visit):
    tab = visit("notebooks/05_discretization.html")
    group = tab.locator(".sd-tab-set", has_text="Triton").first
    panels = group.locator("> .sd-tab-content")
    assert [panel.is_visible() for panel in panels.all()] == [True, False, False]
    group.locator("> input").first.focus()
    tab.keyboard.press("ArrowRight")
    assert [panel.is_visible() for panel in panels.all()] == [False, True, False]
    tab.emulate_media(media="print")
    assert [panel.is_visible() for panel in panels.all()] == [True, True, True]


def test_paper_has_solutions_whole_lines_and_dark_text(visit):
    tab = visit("notebooks/05_discretization.html", color_scheme="dark")
    folds = tab.locator("details.solution")
    assert folds.count() > 8
    tab.emulate_media(media="print", color_scheme="dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folds.evaluate_all("folds => folds.every(fold => fold.open)")
    assert tab.locator("details.hide:not([open]) > summary >> visible=true").count() == 0
    assert tab.evaluate(
        "[...document.querySelectorAll('.bd-article pre')].every(pre => pre.scrollWidth <= pre.clientWidth + 1)"
    )
    colors = tab.evaluate(
        "['p', 'td', 'pre .k'].map(part => getComputedStyle(document.querySelector(`.bd-article ${part}`)).color)"
    )
    assert len(set(colors)) == 1
    titles = tab.locator("h1 >> visible=true").all_inner_texts()
    assert [title.split()[0] for title in titles] == ["5."]
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not folds.evaluate_all("folds => folds.some(fold => fold.open)")
