"""Build one chapter alone, executed, in build/page: python scripts/build_page.py 6 (make page CHAPTER=6).

Links to other pages lead nowhere there, and the executions that the whole book keeps stay as they are.
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "page"


def chapter_named(number: str) -> str:
    """The notebook of a chapter, without a suffix; stops with a sentence where there is none."""
    chapters: dict[int, str] = runpy.run_path(str(ROOT / "seqlab" / "chapters.py"))["CHAPTERS"]
    if not number.isdecimal() or int(number) not in chapters:
        sys.exit(f"CHAPTER: expected one of {', '.join(map(str, chapters))}, got {number!r}")
    return f"notebooks/{chapters[int(number)]}"


def build(page: str) -> Path:
    """Execute and build the page; returns it, or stops where the build fails or a cell raises."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    html = OUTPUT / "_build" / "html"
    report = html / "reports" / f"{page}.err.log"  # where MyST-NB says which cell raised, and goes on
    if report.exists():  # have the page read again
        report.unlink()
        (OUTPUT / "_build" / ".doctrees" / f"{page}.doctree").unlink(missing_ok=True)
    contents = OUTPUT / "_toc.yml"
    contents.write_text(yaml.safe_dump({"format": "jb-book", "root": page}), "utf8")
    book = Path(sys.executable).with_name("jupyter-book")
    command: list[str | Path] = [book, "build", ROOT, "--toc", contents, "--path-output", OUTPUT, "--quiet"]
    # A notebook's kernel starts in the notebook's folder, and imports this tree's package.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path})
    built = (html / page).with_suffix(".html")
    if report.exists():
        sys.exit(f"{report.read_text('utf8')}\n{page}: a cell raised, as stands above")
    if done.returncode or not built.is_file():
        sys.exit(f"{page} was not built: the reason stands above")
    return built


if __name__ == "__main__":
    print(f"built {build(chapter_named(sys.argv[1] if len(sys.argv) > 1 else '')).as_uri()}")
