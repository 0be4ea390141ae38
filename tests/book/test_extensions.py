"""The book's own Sphinx extensions, each on the smallest book that shows what it does."""

import io
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import description
import equations
import execution
import interface
import page
import pytest
import search_index
import streams
from bs4 import BeautifulSoup
from docutils.core import publish_doctree
from mathematics import ask, only, typeset
from nbformat.v4 import new_output
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

CONFIGURATION = """
extensions = ["myst_parser", "boxes", "equations", "exercises", "mathematics", "numbered_figures", "typography"]
html_math_renderer = "typeset"
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
    assert formula.select_one("mjx-labels")
    assert formula.select_one("math").text.startswith("(2.1)")
    assert [link["href"] for link in pages["index"].select("p a")] == ["#eq-2-1"]
    assert [link["href"] for link in pages["other"].select("p a")] == ["index.html#eq-2-1"]
    assert "(7.5)" in pages["other"].text


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"a = b \tag{1.1}", r"a = b \tag{1.1}"),
        (r"a = b \\ c = d", r"\begin{aligned}a = b \\ c = d\end{aligned}"),
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
def test_tags_stay_where_mathjax_takes_them(formula, expected):
    assert equations.tag_outside(formula, equations.TAG.findall(formula)) == expected


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


def test_the_site_has_every_formula_once_more_without_its_number(build, tmp_path):
    build(
        index="# One\n\n$$\na = b \\tag{1.1}\n$$\n\n$$\na \\\\ b \\tag{1.2}\n$$",
        other="# Two\n\n$$\n\\begin{align} a \\tag{2.1} \\\\ b \\tag{2.2} \\end{align}\n$$",
    )
    formulas = {file.stem: file.read_text("utf8") for file in (tmp_path / "html/_static/equations").iterdir()}
    assert formulas == {
        "eq-1-1": typeset("a = b", True),
        "eq-1-2": typeset(r"\begin{aligned}a \\ b\end{aligned}", True),
        **dict.fromkeys(["eq-2-1", "eq-2-2"], typeset(r"\begin{align} a  \\ b  \end{align}", True)),
    }
    assert "mjx-labels" not in "".join(formulas.values())


def test_formulas_are_set_in_the_page_for_the_eye_and_for_a_screen_reader(build, tmp_path):
    pages, warnings = build(index="# One $N$\n\nWith $x_t = 1 < 2$.\n\n$$ y $$")
    assert warnings == []
    inline = pages["index"].select_one("p span.math mjx-container")
    assert inline.select("mjx-math[aria-hidden=true] mjx-msub")
    assert inline.select_one("mjx-assistive-mml math").text == "xt=1<2"
    assert pages["index"].select("h1 span.math mjx-c")
    assert pages["index"].select("div.math mjx-c")
    style = (tmp_path / "html/_static/mathematics/formulas.css").read_text()
    assert [glyph in style for glyph in ("mjx-c78", "mjx-c1D465", "mjx-c222E")] == [False, True, False]
    for font in re.findall(r'url\("([^"]*)"\)', style):
        assert (tmp_path / "html/_static/mathematics" / font).is_file()


def test_the_style_sheet_of_the_formulas_is_rules_of_mathjax_and_nothing_else(build, tmp_path):
    build(index="# One\n\n$x$")
    rule = r"""[^{}]+{(?:[^{}"]|"(?:[^"\\]|\\.)*")*}"""
    style = (tmp_path / "html/_static/mathematics/formulas.css").read_text()
    whole = re.sub(r"\s*\n\s*", "", ask("")["css"])
    assert set(re.findall(rule, style)) < set(re.findall(rule, whole))
    assert re.sub(rule, "", style) == ""


@pytest.mark.parametrize("content", ["A", "}", "{", r"\"", r"\\"])
@pytest.mark.parametrize("selector", ["mjx-c.mjx-c7D.TEX-B::before", ".mjx-stretched mjx-c.mjx-c7D::before"])
def test_of_the_style_sheet_only_characters_that_are_used_are_left(selector, content):
    rule = f'{selector} {{padding: 0.75em 0;content: "{content}";}}'
    style = f"a {{b: c}}{rule}d {{e: f}}"
    assert only({"mjx-c7D"}, style) == style
    assert only({"mjx-c7"}, style) == "a {b: c}d {e: f}"


def test_a_formula_that_mathjax_does_not_understand_is_a_warning(build):
    _, warnings = build(index="# One\n\n$\\lamdba$ and $$ \\frac{1} $$")
    assert len(warnings) == 2
    assert r"'\\lamdba': Undefined control sequence \lamdba" in warnings[0]
    assert r"' \\frac{1} ': Missing argument for \frac" in warnings[1]


def test_a_result_is_a_box_with_the_formulas_right_below_it(build):
    pages, warnings = build(
        index="# One\n\n**Result: a hold.** So\n\n$$\na \\tag{1.1}\n$$\n\nAfter.\n\n$$ b $$\n\n"
        "**Scalar case.** With $N = 1$.\n\nMore, by (1.1). **Result** in a sentence."
    )
    assert warnings == []
    (box,) = pages["index"].select(".result")
    assert box.select_one("div.math#eq-1-1")
    assert "After." not in box.text
    (scalar,) = pages["index"].select(".scalar-case")
    assert scalar.text.strip() == "Scalar case. With N=1."


SHOWN = '```{raw} html\n<figure id="figure-2-1" class="seqlab-figure"><svg></svg></figure>\n```'


def test_figures_of_outputs_and_of_captions_are_linked_by_their_numbers(build):
    pages, warnings = build(
        index=f"# One\n\n{SHOWN}\n\nA drawing.\n\n**Figure 2.2.** Its caption.\n\nSee Figure 2.1 or `Figure 2.2`.",
        other="# Two\n\nBy Figure 2.2 or Figure 2.1. Figure 7.1 is of a chapter without any.",
    )
    assert warnings == []
    caption = pages["index"].select_one("p.figure-caption#figure-2-2")
    assert caption.text == "Figure 2.2. Its caption."
    assert not caption.select("a")
    assert [link["href"] for link in pages["index"].select("p a")] == ["#figure-2-1"]
    assert [link["href"] for link in pages["other"].select("p a")] == [
        "index.html#figure-2-2",
        "index.html#figure-2-1",
    ]


@pytest.mark.parametrize(
    ("prose", "warning"),
    [("See Figure 2.9.", "there is no figure 2.9"), (SHOWN, "figure 2.1 is already on page index")],
)
def test_a_figure_that_is_missing_or_there_twice_is_a_warning(build, prose, warning):
    _, warnings = build(index=f"# One\n\n{SHOWN}", other=f"# Two\n\n{prose}")
    assert len(warnings) == 1
    assert warning in warnings[0]


def test_solutions_fold_up_to_the_next_exercise(build):
    pages, warnings = build(
        index="# One\n\n**Exercise 1.1.** Ask.\n\n**Solution.** Answer.\n\nMore answer.\n\n"
        "**Exercise 1.2.** Ask again.\n\n**Solution.** Again.\n\n## After\n\nOpen."
    )
    assert warnings == []
    folded = [details.text for details in pages["index"].select("details.solution")]
    assert len(folded) == 2
    assert folded[1].split() == ["Solution", "Again."]
    assert "More answer." in folded[0]
    assert not any("Ask" in text or "Open." in text for text in folded)


def test_answers_proofs_and_what_the_package_adds_fold_to_the_end_of_their_section(build):
    pages, _ = build(
        index="# One\n\nAsk.\n\n**Answer.** It is so.\n\nAnd more.\n\n## Two\n\n**In the package.** A tile.\n\n"
        "### Three\n\nOpen.\n\n**Proof.** By induction."
    )
    answer, package, proof = pages["index"].select("details.solution")
    assert [fold.summary.text for fold in (answer, package, proof)] == ["Answer", "In the package", "Proof"]
    assert "And more." in answer.text
    assert "Open." not in package.text


def test_punctuation_stays_with_its_formula(build):
    pages, warnings = build(index="# One\n\nWith *all*, $a$, $b$ and $c$.")
    assert warnings == []
    assert [tied.text for tied in pages["index"].select("span.tied")] == ["a,", "c."]
    assert pages["index"].select_one("p").text == "With all, a, b and c."


def test_what_a_cell_prints_keeps_its_lines_in_however_many_pieces_it_arrived():
    pieces = ["1 of 2 ", "pieces\n", "\nafter a blank line\n\n", "and another\n\n"]
    outputs = [new_output("stream", name="stdout", text=text) for text in pieces]
    outputs.insert(2, new_output("display_data", data={"text/plain": "a picture"}))
    for _ in range(2):  # what is merged is left as it was
        printed, picture = streams.merge(outputs)
        assert printed["text"] == "1 of 2 pieces\n\nafter a blank line\n\nand another\n"
        assert picture["data"] == {"text/plain": "a picture"}


def test_a_parenthesis_stays_with_the_formula_that_it_opens_before(build):
    pages, warnings = build(index="# One\n\nRounding ($a$), [$b$ and ($c$).")
    assert warnings == []
    assert [tied.text for tied in pages["index"].select("span.tied")] == ["(a),", "[b", "(c)."]
    assert pages["index"].select_one("p").text == "Rounding (a), [b and (c)."


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


PAGE = r"""
A page with :math:`\Delta`
==========================

**Set-up** of :math:`N = 1`, and of :math:`\frac{a}{b}`.

.. math:: \text{displayed}

Its section
-----------

Text. ::

    a listing

.. raw:: html

    <figure><figcaption>Its <b>caption</b>.</figcaption></figure>

Deeper
~~~~~~

More.

Deepest
^^^^^^^

Still more.
"""


def parsed(text):
    return publish_doctree(text, settings_overrides={"doctitle_xform": False})


def test_the_search_knows_sections_down_to_h3_by_their_headings_and_prose():
    assert [(found.anchor, found.title, found.text) for found in search_index.documents(parsed(PAGE))] == [
        ("", "A page with Δ", "Set-up of N=1, and of …."),
        ("its-section", "Its section", "Text. Its caption."),
        ("deeper", "Deeper", "More. Still more."),
    ]


def test_what_is_rarely_looked_for_first_counts_less():
    found = search_index.documents(parsed("Page\n====\n\nExercises\n---------\n\nOne.\n"))
    assert [section.weight for section in found] == [1, search_index.ASIDE]


def test_a_page_is_described_by_its_question_else_by_its_first_paragraph():
    rule = "============  =======\n"
    question = f"Page\n====\n\nFirst.\n\n{rule}The question  Why, *N*?\nTime          An hour\n{rule}"
    assert description.description(parsed(question)) == "Why, N?"
    assert description.description(parsed(PAGE)) == "Set-up of N=1, and of …."


def test_a_description_ends_with_a_sentence_or_a_word():
    assert description.shortened("Short.") == "Short."
    assert description.shortened("One? " + "Two. " * 80).endswith("Two.")
    assert len(description.shortened("word " * 80)) <= description.LONGEST + 1
    assert description.shortened("word " * 80).endswith("word…")


def test_words_without_a_color_of_their_own_stand_in_no_element():
    listing = (
        '<span class="k">for</span><span class="w"> </span><span class="n">x</span><span class="p">:</span>'
    )
    assert page.plain_words(listing) == '<span class="k">for</span> x:'


def test_a_path_in_the_text_ends_a_line_behind_a_slash_and_nothing_else_does():
    code = '<code class="literal"><span class="pre">{}</span></code>'
    told = {"a/b_c/d.py": "a/<wbr>b_c/<wbr>d.py", "a // b": "a // b", "K_or_ssm": "K_or_ssm", "/": "/"}
    body = "".join(map(code.format, told)) + "<p>and/or</p><pre>x/y</pre>"
    expected = "".join(map(code.format, told.values())) + "<p>and/or</p><pre>x/y</pre>"
    assert page.breakable_paths(body) == expected


def test_a_long_name_in_the_text_may_end_a_line_behind_its_underscores():
    body = '<span class="pre">state_passing_matrices</span><span class="pre">head_dim</span>'
    may = '_<wbr class="name">'
    expected = body.replace("state_passing_", f"state{may}passing{may}")
    assert page.breakable_names(body) == expected


def test_a_listing_that_may_be_parted_on_paper_says_that_it_is_long():
    short, long = ("<pre>" + "line\n" * lines + "</pre>" for lines in (page.LONG - 1, page.LONG))
    assert (
        page.long_listings(short + long + short)
        == short + long.replace("<pre>", '<pre class="long">') + short
    )


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


def test_a_table_of_names_links_each_to_its_entry_and_keeps_its_cells_apart():
    rows = [(interface.link("seqlab.ops.wkv", "wkv"), "e^{-|x|}")]
    lines = interface.table(("name", "what it is"), rows).splitlines()
    assert lines[-2] == "| {py:obj}`wkv <seqlab.ops.wkv>` | e^{-\\|x\\|} |"


def test_what_a_name_is_stands_in_its_first_sentence():
    def repeated():
        """Repeat a string after a
        pause (someone, 1997; who else).

        Args: none."""

    def asked():
        """Who is it? (A paper.)"""

    assert interface.summary(repeated) == "Repeat a string after a pause (someone, 1997; who else)."
    assert interface.summary(asked) == "Who is it?"
