"""An explorer alone on a page with no Python behind it, in a real browser."""

import json
import shutil
from pathlib import Path

import pytest
from explorers import place

FONTS = Path(__file__).parents[2] / "book" / "assets" / "vendor" / "fonts"

SCRIPT = '<script type="module" src="host.mjs"></script>'
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8"><meta name="viewport" content="width=device-width">
  <title>Explorer</title><link rel="icon" href="data:,">
  <script type="module" src="host.mjs"></script>
  <link rel="stylesheet" href="explorers.css">
  <style>
    body { margin: 0; font-family: sans-serif }
    html[data-theme=dark] body { background: #14181e; color: #ced6dd }
  </style>
</head>
<body>
  <main>
    <h1>Explorer</h1>
    <seqlab-explorer name="NAME" params='PARAMS'>STILL</seqlab-explorer>
  </main>
  <div style="height: 2000px"></div>
</body>
</html>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    place(folder)
    return folder


@pytest.fixture(scope="module")
def site_face(folder):
    """The style that gives a page of the folder the site's face."""
    if not FONTS.exists():
        pytest.fail("The site's face is not fetched, and this test reads it: run make book first.")
    shutil.copytree(FONTS, folder / "fonts")
    face = (FONTS / "face.css").read_text().replace('url("', 'url("fonts/')
    return f'{face} body {{ font-family: "Source Serif 4" }}'


@pytest.fixture(scope="module")
def address(folder, serve):
    return serve(folder)


@pytest.fixture
def show_explorer(browser, address, folder):
    """show_explorer(name, params, **context) -> a page with it drawn, or, asleep, with its place alone; an error or a
    foreign request fails it."""
    contexts, complaints = [], []

    def open_page(name, params=None, asleep=False, still="asleep", **options):
        asked = f'<p class="explorer-question">{(params or {}).get("question", "")}</p>'
        inside = f'{asked}<div class="still">{still}</div>'
        page_text = PAGE.replace("NAME", name).replace("PARAMS", json.dumps(params or {}))
        page_text = page_text.replace("STILL", inside)
        if asleep:
            page_text = page_text.replace(SCRIPT, "")
        (folder / "page.html").write_text(page_text)
        options = {"viewport": {"width": 1000, "height": 900}, **options}
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on(
            "request",
            lambda request: request.url.startswith((address, "data:")) or complaints.append(request.url),
        )
        page.goto(f"{address}/page.html")
        if asleep:
            return page
        page.wait_for_selector("[role=slider]")
        page.wait_for_function("document.querySelector('output').textContent !== ''")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
