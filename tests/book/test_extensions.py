"""The book's own Sphinx extensions, each on the smallest book that shows what it does."""

import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import execution
import interface
import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

CONFIGURATION = """
extensions = ["myst_parser", "equations", "exercises", "typography"]
myst_enable_extensions = ["dollarmath"]
myst_dmath_allow_labels = False
"""


@pytest.fixture
def build(tmp_path):
    """build(page=text, ...) -> (each page's article, the warnings)."""

    def run(**pages):
        source = tmp_path / "source"
        source.mkdir()
        (source / "conf.py").write_text(CONFIGURATION)
        for name, text in pages.items():
            (source / f"{name}.md").write_text(text)
        warnings = io.StringIO()
        with docutils_namespace():
            Sphinx(
                source, source, tmp_path / "html", tmp_path / "trees", "html", status=None, warning=warnings
            ).build()
        html = {name: (tmp_path / "html" / f"{name}.html").read_text("utf8") for name in pages}
        soups = {
            name: BeautifulSoup(text, "html.parser").select_one("[role=main]") for name, text in html.items()
        }
        return soups, [line for line in warnings.getvalue().splitlines() if "toctree" not in line]

    return run


def test_equations_are_anchors_and_references_links(build):
    pages, warnings = build(
        index="# One\n\n$$\nh_t = a_t h_{t-1} \\tag{2.1}\n$$\n\nBy (2.1), not `(2.1)`, not $(2.1)$.",
        other="# Two\n\nSee equation (2.1), or (7.5) of a chapter that has none.",
    )
    assert warnings == []
    formula = pages["index"].select_one("div.math#eq-2-1")
    assert formula.text.strip() == r"\[h_t = a_t h_{t-1} \tag{2.1}\]"
    assert [link["href"] for link in pages["index"].select("p a")] == ["#eq-2-1"]
    assert [link["href"] for link in pages["other"].select("p a")] == ["index.html#eq-2-1"]
    assert "(7.5)" in pages["other"].text


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"a = b \tag{1.1}", r"a = b \tag{1.1}"),
        (r"\tag{1.1} a = b", r"a = b \tag{1.1}"),
        (r"a = b \\ c = d \tag{1.1}", r"\begin{aligned}a = b \\ c = d\end{aligned} \tag{1.1}"),
        (
            r"\begin{aligned} a &= b \\ c &= d \end{aligned} \tag{1.1}",
            r"\begin{aligned} a &= b \\ c &= d \end{aligned} \tag{1.1}",
        ),
        (
            r"\begin{align} a &= b \tag{1.1} \\ c &= d \tag{1.2} \end{align}",
            r"\begin{align} a &= b \tag{1.1} \\ c &= d \tag{1.2} \end{align}",
        ),
    ],
)
def test_tags_stay_where_mathjax_takes_them(build, formula, expected):
    pages, _ = build(index=f"# One\n\n$$\n{formula}\n$$\n")
    assert pages["index"].select_one("div.math").text.strip() == f"\\[{expected}\\]"


def test_every_tag_of_a_formula_is_an_anchor(build):
    pages, _ = build(
        index="# One\n\n$$\n\\begin{align} a \\tag{1.1} \\\\ b \\tag{1.2} \\end{align}\n$$\n\n(1.1), (1.2)"
    )
    for link in pages["index"].select("p a"):
        assert pages["index"].find(id=link["href"].removeprefix("#"))


def test_a_reference_to_a_missing_equation_is_a_warning(build):
    _, warnings = build(index="# One\n\n$$ a = b \\tag{2.1} $$\n\nSee (2.9).")
    assert len(warnings) == 1
    assert "there is no equation (2.9)" in warnings[0]


def test_two_equations_with_one_number_are_a_warning(build):
    _, warnings = build(index="# One\n\n$$ a = b \\tag{2.1} $$", other="# Two\n\n$$ c = d \\tag{2.1} $$")
    assert len(warnings) == 1
    assert "equation (2.1) is already on page" in warnings[0]


def test_solutions_fold_up_to_the_next_exercise(build):
    pages, warnings = build(
        index="# One\n\n**Exercise 1.1.** Ask.\n\n**Solution.** Answer.\n\nMore answer.\n\n"
        "**Exercise 1.2.** Ask again.\n\n**Solution.** Again.\n\n## After\n\nOpen."
    )
    assert warnings == []
    folded = [details.text for details in pages["index"].select("details.solution")]
    assert len(folded) == 2
    assert "More answer." in folded[0]
    assert not any("Ask" in text or "Open." in text for text in folded)


def test_punctuation_stays_with_its_formula(build):
    pages, warnings = build(index="# One\n\nWith $a$, $b$ and $c$.")
    assert warnings == []
    assert [tied.text for tied in pages["index"].select("span.tied")] == [r"\(a\),", r"\(c\)."]
    assert pages["index"].select_one("p").text == r"With \(a\), \(b\) and \(c\)."


@pytest.fixture
def project(tmp_path):
    """The files that an execution reads, in a folder of their own."""
    (tmp_path / "seqlab" / "__pycache__").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "seqlab" / "ops.py").write_text("a")
    (tmp_path / "requirements.lock").write_text("numpy==2")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["seqlab/ops.py", "seqlab/new.mjs", "benchmarks/results/h100.json", "requirements.lock"]
)
def test_executions_are_stale_when_what_they_read_changes(project, name):
    before = execution.digest(project)
    assert execution.digest(project) == before
    (project / name).write_text("changed")
    assert execution.digest(project) != before


def test_executions_outlive_what_they_do_not_read(project):
    before = execution.digest(project)
    (project / "README.md").write_text("changed")
    (project / "seqlab" / "__pycache__" / "ops.pyc").write_text("changed")
    (project / "seqlab" / ".ruff_cache").mkdir()
    (project / "seqlab" / ".ruff_cache" / "x").write_text("left behind")
    assert execution.digest(project) == before


def test_a_moved_file_is_a_change(project):
    before = execution.digest(project)
    shutil.move(project / "seqlab" / "ops.py", project / "seqlab" / "op.py")
    assert execution.digest(project) != before


@pytest.mark.parametrize(("output", "left"), [("_build/html", False), ("build/page/_build/html", True)])
def test_a_page_alone_leaves_the_executions_of_the_book(project, monkeypatch, output, left):
    monkeypatch.setenv("SEQLAB_BOOK", "0")
    older = project / "_build" / "executions" / "of_another_package"
    older.mkdir(parents=True)
    config = SimpleNamespace()
    execution.choose_cache(SimpleNamespace(srcdir=project, outdir=project / output), config)
    assert Path(config.nb_execution_cache_path).name == execution.digest(project)
    assert older.exists() == left


def test_docstrings_become_markdown():
    written = """First line with :func:`seqlab.show`.

Args:
    a: decay, (B, L, D),
        or (D,).
    b, c: inputs.

Source: somewhere.
"""
    assert interface.markdown(written).splitlines() == [
        "First line with `seqlab.show`.",
        "",
        "**Args**",
        "",
        "- `a`: decay, (B, L, D),",
        "  or (D,).",
        "- `b, c`: inputs.",
        "",
        "Source: somewhere.",
    ]


def test_signatures_are_names_and_defaults():
    def function(self, a: int, b: "str | None" = None, *, key=len) -> int:
        return 0

    assert interface.signature(function) == "(a, b=None, *, key=<built-in function len>)"


def test_only_what_a_module_defines_is_public():
    names = [name for name, _ in interface.public(interface)]
    assert "markdown" in names
    assert "SphinxDirective" not in names
