"""Source views: whole sources from the installed package, with equations linked where that leads anywhere."""

import inspect
import types

import IPython.display
import pytest
from IPython.core.formatters import DisplayFormatter

import seqlab
from seqlab import address, catalogue, doctor
from seqlab.chapters import CHAPTERS
from seqlab.ops.linear_scan import portable, reference
from seqlab.show import Source, equation_address, link_equations, source, tabs


def text_of(html: str) -> str:
    from bs4 import BeautifulSoup

    return BeautifulSoup(html, "html.parser").find("pre").get_text()


def test_a_function_comes_whole_with_its_place():
    shown = source(reference.combine)
    assert shown.text == inspect.getsource(reference.combine)
    assert shown.place.startswith("seqlab/ops/linear_scan/reference.py, lines ")
    assert str(shown).startswith("# seqlab/ops/linear_scan/reference.py")


def test_a_class_a_method_and_a_module_come_whole():
    assert source(doctor.__globals__["Machine"]).text == inspect.getsource(doctor.__globals__["Machine"])
    assert source(reference).text == inspect.getsource(reference)
    assert source(reference).place == "seqlab/ops/linear_scan/reference.py"
    method = source(Source._repr_html_).text
    assert method.startswith("def _repr_html_(self)")
    assert "return (" in method


def test_an_object_shows_its_class():
    assert source(catalogue.PAIRINGS["linear_scan"]).name == "Pairing"


def test_wrappers_are_seen_through():
    """Triton keeps a kernel's function as .fn, also twice; torch.library as ._init_fn."""
    kernel = types.SimpleNamespace(fn=types.SimpleNamespace(fn=reference.combine))
    assert source(kernel).text == inspect.getsource(reference.combine)
    op = types.SimpleNamespace(_init_fn=reference.combine)
    assert source(op).text == inspect.getsource(reference.combine)


def test_a_real_triton_kernel(tmp_path, monkeypatch):
    pytest.importorskip("triton", reason="Triton exists for Linux only")
    (tmp_path / "kernel_to_show.py").write_text(
        "import triton\n\n\n@triton.jit\ndef kernel(x):  # eq. 2.1\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import kernel_to_show

    shown = source(kernel_to_show.kernel)
    assert shown.text == "@triton.jit\ndef kernel(x):  # eq. 2.1\n    pass\n"
    assert shown.place == "kernel_to_show.py, lines 4 to 6"


def test_what_has_no_source_is_a_type_error():
    with pytest.raises(TypeError, match="thing: expected something with Python source, got <built-in"):
        source(len)


def test_html_shows_the_same_text_and_nothing_is_dropped():
    for thing in (reference, catalogue, Source):
        shown = source(thing)
        assert text_of(shown._repr_html_()).strip() == shown.text.strip()


def test_website_links_are_relative(monkeypatch):
    monkeypatch.setenv("SEQLAB_BOOK", "1")
    assert equation_address(2, 3) == "02_linear_scan.html#eq-2-3"
    html = source(reference.combine)._repr_html_()
    assert '<a href="02_linear_scan.html#eq-2-3">eq. 2.3</a>' in html
    assert "<style>" not in html
    assert text_of(html).strip() == source(reference.combine).text.strip()


def test_elsewhere_links_need_a_public_address(monkeypatch):
    monkeypatch.delenv("SEQLAB_BOOK", raising=False)
    monkeypatch.setattr(address, "SITE", None)
    assert equation_address(2, 3) is None
    assert "<a " not in source(reference.combine)._repr_html_()
    monkeypatch.setattr(address, "SITE", "https://example.org/book")
    assert equation_address(2, 3) == "https://example.org/book/notebooks/02_linear_scan.html#eq-2-3"
    assert "<style>" in source(reference.combine)._repr_html_()


def test_only_tags_of_chapters_that_exist_become_links(monkeypatch):
    monkeypatch.setenv("SEQLAB_BOOK", "1")
    missing = max(CHAPTERS) + 90
    assert link_equations(f"# eq. {missing}.1, freq. 2.1") == f"# eq. {missing}.1, freq. 2.1"
    assert link_equations("# eq. 2.6, eq. 2.9").count("<a ") == 2


def test_show_displays_both_forms(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    seqlab.show(reference.combine)
    (output,) = shown
    data, _ = DisplayFormatter().format(output)
    assert data["text/plain"] == str(source(reference.combine)).rstrip("\n")
    assert data["text/html"] == source(reference.combine)._repr_html_()


def test_forms_are_tabs_on_the_website(monkeypatch):
    from bs4 import BeautifulSoup

    monkeypatch.setenv("SEQLAB_BOOK", "1")
    forms = {"NumPy": reference.combine, "PyTorch": (portable, Source), "Triton": None}
    one, other = (BeautifulSoup(tabs(**forms)._repr_html_(), "html.parser") for _ in range(2))
    (group,) = one.select("div.sd-tab-set")
    assert [label.text for label in group.select("label")] == ["NumPy", "PyTorch", "Triton"]
    assert [label["for"] for label in group.select("label")] == [
        field["id"] for field in group.select("input")
    ]
    assert ["checked" in field.attrs for field in group.select("input")] == [True, False, False]
    numpy, pytorch, triton = group.select(".sd-tab-content")
    assert numpy.find("pre").text.strip() == source(reference.combine).text.strip()
    assert len(pytorch.select("pre")) == 2
    assert triton.text == "Triton: not installed on this machine."
    assert not {field["id"] for field in one.select("input")} & {
        field["id"] for field in other.select("input")
    }


def test_forms_are_listings_in_a_row_elsewhere(monkeypatch):
    monkeypatch.delenv("SEQLAB_BOOK", raising=False)
    shown = tabs(NumPy=reference.combine, PyTorch=portable)
    html = shown._repr_html_()
    assert "sd-tab" not in html
    assert "<input" not in html
    assert html.index("<strong>NumPy</strong>") < html.index("<strong>PyTorch</strong>")
    assert str(shown).startswith("# NumPy\n# seqlab/ops/linear_scan/reference.py")
    assert source(portable).text in str(shown)
