"""Copy what the site serves from packages into book/assets/vendor: a text face, a few icons.

Nothing here is committed, and the finished site asks no other host for anything.
"""

import re
from pathlib import Path

import pydata_sphinx_theme  # type: ignore[import-untyped]
from fontTools import subset  # type: ignore[import-untyped]
from npm_package import NotFetchedError, fetch

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
ICON_FONT_RULE = re.compile(r"@font-face\{[^}]*Awesome[^}]*\}")
ICON_RULE = re.compile(r'(?:\.fa-[\w-]+:before,)*\.fa-[\w-]+:before\{content:"\\([^"]*)"\}')
VENDOR = Path(__file__).parent.parent / "book" / "assets" / "vendor"
FACE = "@fontsource-variable/source-serif-4@5.3.1"
FACE_FILES = {
    "normal": "source-serif-4-latin-wght-normal.woff2",
    "italic": "source-serif-4-latin-wght-italic.woff2",
}
ICONS = {
    "magnifying-glass": 0xF002,
    "check": 0xF00C,
    "download": 0xF019,
    "print": 0xF02F,
    "list": 0xF03A,
    "chevron-left": 0xF053,
    "chevron-right": 0xF054,
    "circle-check": 0xF058,
    "circle-info": 0xF05A,
    "arrow-up": 0xF062,
    "expand": 0xF065,
    "circle-exclamation": 0xF06A,
    "triangle-exclamation": 0xF071,
    "chevron-up": 0xF077,
    "chevron-down": 0xF078,
    "bars": 0xF0C9,
    "lightbulb": 0xF0EB,
    "angle-left": 0xF104,
    "angle-right": 0xF105,
    "angle-down": 0xF107,
    "rocket": 0xF135,
    "file": 0xF15B,
    "sun": 0xF185,
    "moon": 0xF186,
    "file-pdf": 0xF1C1,
    "file-code": 0xF1C9,
    "pencil": 0xF303,
    "circle-half-stroke": 0xF042,
}
ICON_FONTS = {
    "fa-solid-900": ("Font Awesome 6 Free", 900, ICONS),
    "fa-brands-400": ("Font Awesome 6 Brands", 400, {"github": 0xF09B}),
}


def face() -> None:
    """Source Serif 4 (SIL Open Font License) from npm; without a network, readers get their own serif."""
    target = VENDOR / "fonts"
    try:
        found = fetch(FACE, [f"files/{name}" for name in FACE_FILES.values()])
    except NotFetchedError as error:
        print(f"{error}\nThe pages will be set in the reader's own serif face.")
        (target / "face.css").write_text("")
        return
    for name, content in found.items():
        (target / Path(name).name).write_bytes(content)
    (target / "face.css").write_text("".join(map(font_face, FACE_FILES)))


def font_face(style: str) -> str:
    """The CSS rule that makes one of the fetched files known."""
    return (
        f'@font-face {{ font-family: "Source Serif 4"; font-style: {style}; font-weight: 200 900; '
        f'font-display: swap; src: url("{FACE_FILES[style]}") format("woff2") }}\n'
    )


def icons() -> None:
    """The icons that the pages use, cut out of the theme's icon fonts: 4 KB of their 600."""
    rules = []
    for name, (family, weight, characters) in ICON_FONTS.items():
        options = subset.Options(flavor="woff")
        font = subset.load_font(str(THEME / "vendor/fontawesome/webfonts" / f"{name}.ttf"), options)
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=characters.values())
        cutter.subset(font)
        subset.save_font(font, str(VENDOR / "fonts" / f"{name}.woff"), options)
        rules.append(
            f'@font-face {{ font-family: "{family}"; font-weight: {weight}; font-display: block; '
            f'src: url("{name}.woff") format("woff") }}\n'
        )
    (VENDOR / "fonts" / "icons.css").write_text("".join(rules))


def theme() -> None:
    """The theme's style sheet less its icon fonts and the names of two thousand icons: 70 KB lighter."""
    used = {f"{code:x}" for _, _, characters in ICON_FONTS.values() for code in characters.values()}
    style = (THEME / "styles" / "pydata-sphinx-theme.css").read_text("utf8")
    style = ICON_FONT_RULE.sub("", style)
    style = ICON_RULE.sub(lambda rule: rule[0] if rule[1].strip().lower() in used else "", style)
    (VENDOR / "theme.css").write_text(style, "utf8")


if __name__ == "__main__":
    (VENDOR / "fonts").mkdir(parents=True, exist_ok=True)
    face()
    icons()
    theme()
