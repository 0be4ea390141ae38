"""The published mLSTM beside ours: the record tells a normalizer that counts as a constant, says why a kernel did not
run, and chapter 9 reads it, whichever way it falls."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch.nn.functional import logsigmoid

import seqlab
from seqlab.chapters import CHAPTERS
from seqlab.ops.backends import has_triton

ROOT = Path(seqlab.__file__).parent.parent
GOOD, BAD = 1e-3, 0.9


@pytest.fixture
def module(monkeypatch):
    """It lies beside the package and is not installed with it."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return import_module("benchmarks.published_mlstm")


@pytest.fixture
def recorded(module, monkeypatch, tmp_path):
    def record():
        file = tmp_path / "record.json"
        monkeypatch.setattr(sys, "argv", ["published_mlstm", "--quick", "--out", str(file)])
        module.main()
        return json.loads(file.read_text())

    return record


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_ours_is_right_and_theirs_are_absent_without_a_gpu(recorded):
    rows = recorded()["rows"]
    ours, theirs = ([row for row in rows if (row["kernel"] == "seqlab") is own] for own in (True, False))
    assert [row["dtype"] for row in ours] == ["float32", "bfloat16"]
    for row in ours:
        bound = 1e-5 if row["dtype"] == "float32" else 1e-2
        errors = [row["h"], *row["random"].values(), *row["orthogonal"].values()]
        assert len(errors) == 11
        assert max(errors) < bound
    assert {row["absent"] for row in theirs} == {"needs a CUDA GPU"}
    assert {128, 256} <= {row["chunk"] for row in theirs}


def all_pairs(q, k, v, i, f):
    """mLSTM as attention, whose normalizer counts as a constant, (B, L, H, ...)."""
    q, k, v, i, f = (x.transpose(1, 2) for x in (q, k, v, i, f))
    sums = logsigmoid(f).cumsum(-1)
    s = sums[..., None] - sums[..., None, :] + i[..., None, :]
    scores = torch.exp(s).tril() * (q @ k.mT) * k.shape[-1] ** -0.5
    size = scores.sum(-1, keepdim=True).abs().clamp(min=1).detach()
    return (scores @ v.to(scores.dtype) / size).to(v.dtype).transpose(1, 2)


def test_a_normalizer_that_counts_as_a_constant_is_told_by_its_gradients(module, recorded, monkeypatch):
    monkeypatch.setattr(module, "kernel_of", lambda name, chunk, device: all_pairs)
    row = recorded()["rows"][0]
    assert row["h"] < 1e-5
    assert min(row["random"][name] for name in "qkif") > 0.1
    assert row["random"]["v"] < 1e-5
    assert max(row["orthogonal"].values()) < 1e-5


def test_what_is_no_number_is_none_in_the_record(module):
    assert module.error(torch.tensor([1.0, torch.nan]), torch.ones(2)) is None
    assert module.error(torch.tensor([1.0, 1.5]), torch.ones(2)) == pytest.approx(0.5 / 2**0.5)


def row(kernel, chunk, random=GOOD, orthogonal=GOOD, dtype="float32", absent=None):
    if absent:
        return {"kernel": kernel, "chunk": chunk, "dtype": dtype, "absent": absent}
    sent = {
        "random": dict.fromkeys("qkif", random) | {"v": min(random, GOOD)},
        "orthogonal": dict.fromkeys("qkvif", orthogonal),
    }
    return {"kernel": kernel, "chunk": chunk, "dtype": dtype, "absent": None, "h": GOOD, **sent}


@pytest.fixture
def table():
    """The chapter's table of a record of these rows."""
    cells = json.loads((ROOT / "notebooks" / f"{CHAPTERS[9]}.ipynb").read_text("utf8"))["cells"]
    wanted = ("xlstm-published-read", "xlstm-published")
    sources = ["".join(cell["source"]) for cell in cells if cell["id"] in wanted]
    assert len(sources) == 2

    def table(*rows):
        made = []
        record = {"mlstm_kernels": "1.0", "rows": rows}
        exec("\n".join(sources), {"tabulate": lambda name, make: made.append(make(record))})
        return made[0]

    return table


OURS = row("seqlab", None, 1e-6, 1e-6)


def test_the_chapter_says_of_both_reports_what_the_numbers_say(table):
    found = table(
        OURS, row("xl", 64, BAD), row("xl", 128, BAD), row("xl", 256, BAD, 0.5), row("xl", 512, BAD, None)
    )
    _, first, *longer = found.notes
    assert "leaves those of q, k, i and f 90% to 90% off" in first
    assert first.endswith("the normalizer is taken for a constant.")
    assert longer == [
        "In float32 and chunks of 256 the largest error with one orthogonal to h is 50%, which is wrong.",
        "In float32 and chunks of 512 the largest error with one orthogonal to h is no number, which is wrong.",
    ]
    assert [line[0] for line in found.lines if len(line) == 1] == [
        "with a gradient of h that is random",
        "with a gradient of h that is orthogonal to h",
    ]
    assert len(found.lines) == 2 + 2 * 5


def test_the_chapter_says_so_where_neither_report_is_confirmed(table):
    notes = table(OURS, row("xl", 128), row("xl", 256)).notes
    assert notes[1].endswith("the normalizer is not taken for a constant.")
    assert notes[2].endswith("is 1e-03, which is no fault.")


def test_the_chapter_judges_by_float32_and_names_what_is_absent(table):
    found = table(
        OURS, row("xl", 256, BAD, BAD, dtype="bfloat16"), row("limit", 64, absent="needs a CUDA GPU")
    )
    assert found.notes[1:] == ["Absent: limit, chunks of 64, float32: needs a CUDA GPU."]


def test_the_chapter_does_not_show_a_record_in_which_ours_is_wrong(table):
    with pytest.raises(AssertionError):
        table(row("seqlab", None, 1e-2), row("xl", 128))
