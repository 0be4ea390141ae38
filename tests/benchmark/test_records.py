"""Records, read back: tables, our speed over the fastest peer's, and where we lose and why."""

import json

import pytest
from bs4 import BeautifulSoup

from seqlab.benchmark import recorded, rungs, tabulate
from seqlab.benchmark.losses import losses, lost
from seqlab.benchmark.records import (
    comparisons,
    fastest_peer,
    memory,
    origin,
    percent,
    ratio,
    read,
    share,
    speed_over_fastest_peer,
    times,
)
from seqlab.benchmark.tables import Table

OURS, FAST, SLOW = "seqlab, triton", "a fast peer", "a slow peer"


def nothing_known(row):
    return None


def test_the_fastest_peer_may_be_another_as_called_than_queued(row):
    rows = [
        row(OURS, 4.0, 1.5),
        row(FAST, 3.0, 2.0),
        row(SLOW, 2.0, 3.0),
        row("absent", None, None, absent="why"),
    ]
    rows.append(row("of another size", 0.1, 0.1, shape={"batch": 2, "length": 2}))
    assert fastest_peer(rows, rows[0], "as called")["implementation"] == SLOW
    assert fastest_peer(rows, rows[0], "queued")["implementation"] == FAST
    assert speed_over_fastest_peer(rows, rows[0], "as called") == 0.5
    assert speed_over_fastest_peer(rows, rows[0], "queued") == pytest.approx(4 / 3)


def test_what_was_not_timed_is_not_compared(row):
    rows = [row(OURS, None, 1.5), row(FAST, None, 2.0)]
    assert speed_over_fastest_peer(rows, rows[0], "as called") is None
    assert speed_over_fastest_peer(rows[:1], rows[0], "queued") is None
    assert share(rows[0], "as called") is None
    assert share(rows[0], "queued") == pytest.approx(1 / 1.5)


def test_a_table_has_both_times_the_share_and_a_dash_with_its_footnote(row, record):
    absent = {"absent": "computes quaternions only"}
    rows = [row(OURS, None, 1.25), row(FAST, 3.0, 2.0), row("narrow", None, None, **absent)]
    table = times(rows, "of a test", record(*rows))
    assert table.head == ["implementation", "forward, ms", "of the floor"]
    assert table.lines == [
        ("real varying, float32; B 1, L 2",),
        ("floor", "1.000", "bytes"),
        (OURS, "1.250\n(–)", "80%"),
        (FAST, "2.000\n(3.000)", "50%"),
    ]
    assert "–: this record has no such time." in table.notes
    assert "Absent: narrow: computes quaternions only." in table.notes
    assert table.notes[-1] == "a GPU; torch 2; Python 3; commit 0123456789ab; 2026-01-01."
    assert not [note for note in times(rows[1:], "", record()).notes if note.startswith("–")]
    assert "<caption>of a test</caption>" in table._repr_html_()
    assert ">2.000 <br>(3.000)</td>" in table._repr_html_()
    assert "2.000, (3.000)" in repr(table)


def test_passes_stand_side_by_side_and_times_as_called_only_where_there_are_some(row, record):
    both = [row(OURS, None, 1.25), row(OURS, None, 2.5, **{"pass": "forward+backward"})]
    table = times(both, "", record(*both))
    assert table.head[3:] == ["forward + backward, ms", "of the floor"]
    assert table.lines[-1] == (OURS, "1.250", "80%", "2.500", "40%")
    assert not [note for note in table.notes if "brackets" in note]


def test_an_absence_says_on_what_where_it_is_not_everything(row, record):
    absent = {"absent": "its process failed: a long sentence that is told to its end"}
    rows = [
        row(FAST, None, 1.0),
        row(FAST, None, None, dtype="bfloat16", **absent),
        row(FAST, None, None, dtype="bfloat16", shape={"batch": 9}, **absent),
    ]
    assert times(rows, "", record()).notes[-2] == (
        f"Absent: {FAST} on real varying in bfloat16: its process failed: a long sentence that is told to its end."
    )
    rows[2] = row(FAST, None, 1.0, dtype="bfloat16", shape={"batch": 9})
    assert (
        times(rows, "", record())
        .notes[-2]
        .startswith(f"Absent: {FAST} on real varying in bfloat16 at B 1, L 2: ")
    )


def test_rows_of_other_runs_are_named_with_their_commit_and_day_but_those_of_the_same(record):
    own = record()
    there = {"commit": "c" * 40, "date": "2026-01-02"}
    same = {"commit": own["commit"], "date": own["date"]}
    joined = [{"implementation": name, **there} for name in ("one", "two")] + [
        {"implementation": "three", **same}
    ]
    assert origin({**own, "joined": joined}) == f"{origin(own)}; of commit {'c' * 12}, 2026-01-02: one, two"


def test_memory_is_shown_where_it_was_recorded(row, record):
    assert memory([row(OURS, 1.0, 1.0)], "", record()) is None
    table = memory([row(OURS, 1.0, 1.0, peak_memory_bytes=2**21)], "", record())
    assert table.lines[-1] == (OURS, "2.0")


def test_whatever_is_recorded_under_a_name_becomes_tables(record, tmp_path):
    found = {**record(), "shape": {"batch": 1}, "rungs": [], "floor_milliseconds": 0.5}
    found["rungs"] = [{"name": name, "milliseconds": ms} for name, ms in (("first", 2.0), ("last", 1.0))]
    (tmp_path / "some_rungs_a_gpu.json").write_text(json.dumps(found))
    (table,) = tabulate("some_rungs", rungs, tmp_path).tables
    assert table.head == ["version", "ms", "times as fast", "of the floor"]
    assert table.lines == [("first", "2.000", "1.0", "25%"), ("last", "1.000", "2.0", "50%")]
    assert table.notes == ["a GPU; torch 2; Python 3; commit 0123456789ab; 2026-01-01."]
    nothing = tabulate("other_rungs", rungs, tmp_path)
    assert "other_rungs is not recorded" in repr(nothing)
    said = BeautifulSoup(nothing._repr_html_(), "html.parser")
    assert said.code.text == "python -m benchmarks.other_rungs"
    assert "`" not in said.text


def test_a_column_that_no_line_fills_is_left_out():
    table = Table(["a", "b", "c"], [("heading",), ("x", "", "1"), ("y", "", "")], "", ["A note."])
    assert table.filled() == Table(["a", "c"], [("heading",), ("x", "1"), ("y", "")], "", ["A note."])
    assert Table(["a", "b"], [], "").filled().head == ["a"]


def test_a_heading_spans_its_table_and_roles_survive_the_layout_as_cards():
    page = BeautifulSoup(
        Table(["a", "b"], [("heading",), ("x", 'says "b"')], "", wide=True)._repr_html_(), "html.parser"
    )
    heading = page.select_one("tbody th[scope=rowgroup]")
    assert (heading["colspan"], heading.text) == ("2", "heading")
    assert "table-cards" in page.select_one("table[role=table]")["class"]
    (cell,) = page.select("tr[role=row] > td[role=cell]")
    assert (cell["data-head"], cell.text) == ("b", 'says "b"')


@pytest.mark.parametrize(
    ("columns", "wide", "kind"),
    [(4, True, "table-cards"), (4, False, None), (5, True, "table-beside"), (5, False, "table-beside")],
)
def test_a_table_of_more_columns_than_a_card_has_scrolls_beside_its_first(columns, wide, kind):
    page = BeautifulSoup(
        Table(["a"] * columns, [["x"] * columns], "", wide=wide)._repr_html_(), "html.parser"
    )
    assert page.table["class"] == ["table", "table-measurements", *filter(None, [kind])]
    said = [name for name in ("role", "data-head") if page.td.has_attr(name)]
    assert said == (["role", "data-head"] if kind == "table-cards" else [])  # which others need not say


def test_a_ratio_has_no_more_digits_than_were_measured():
    assert [ratio(times) for times in (0.23, 7.38, 99.9, 200.3, 4453.2)] == [
        "0.2",
        "7.4",
        "99.9",
        "200",
        "4,453",
    ]


def test_a_negative_number_has_a_minus_sign_and_other_hyphens_stay():
    table = Table(["a", "b"], [("mamba-2", "-0.05, 1e-7"), ("x", "-m")], "")
    cells = [cell.text for cell in BeautifulSoup(table._repr_html_(), "html.parser").select("tbody th, td")]
    assert cells == ["mamba-2", "\N{MINUS SIGN}0.05, 1e-7", "x", "-m"]
    assert "-0.05" in repr(table)


def test_a_share_that_rounds_to_nothing_has_a_digit_more():
    assert [percent(part) for part in (2e-5, 0.0023, 0.03, 0.597)] == ["under 0.1%", "0.2%", "3%", "60%"]


def test_rows_as_fast_as_peers_and_near_the_floor_are_no_losses(row, record):
    result = record(row(OURS, 1.3, 1.2), row(FAST, 1.4, 1.3))
    assert losses(result, nothing_known) == []
    assert lost([result], nothing_known) == []


def test_a_floor_below_a_launch_says_so(row, record):
    """The smallest kernel takes 5 microseconds: 5 of them cannot be had, 50 can be explained."""
    small = {"floor_milliseconds": 0.0002}
    (loss,) = losses(record(row(OURS, 0.005, 0.005, **small)), nothing_known)
    assert loss.measured == ("the floor is 0.2 µs, and the smallest kernel there is takes 5 µs",)
    assert loss.explained is None
    (loss,) = losses(record(row(OURS, 0.05, 0.05, **small)), lambda row: "it waits")
    assert loss.explained == "it waits"
    (loss,) = losses(record(row(OURS, 0.05, 0.05, **small)), nothing_known)
    assert loss.explained == "not explained yet"


def test_a_caller_who_waits_for_the_host_is_told(row, record):
    (loss,) = losses(record(row(OURS, 2.0, 1.2)), nothing_known)
    assert loss.measured == (
        "the caller waits 2 ms, of which the GPU works 1.2 ms: the rest is Python and launches",
    )


def test_a_faster_peer_is_named_with_how_it_is_faster(row, record):
    (loss,) = losses(record(row(OURS, 1.5, 1.2), row(FAST, 1.4, 1.3)), nothing_known)
    assert loss.speeds == {"as called": pytest.approx(1.4 / 1.5), "queued": pytest.approx(1.3 / 1.2)}
    (reason,) = loss.measured
    assert reason.startswith(
        f"{FAST} is faster as called: beyond the GPU's own time the caller waits 300 µs for ours"
    )
    (loss,) = losses(record(row(OURS, 1.5, 1.2), row(FAST, 1.6, 1.1)), lambda row: "half precision")
    assert (loss.measured, loss.explained) == ((f"{FAST} is faster queued",), "half precision")


def test_losses_to_a_peer_stand_before_those_to_the_floor_and_what_explains_several_is_told_once(row, record):
    slow = [
        row(OURS, None, 4.0),
        row(FAST, None, 3.0),
        row(OURS, None, 2.0, op="wkv"),
        row(OURS, None, 2.0, op="gla"),
    ]
    results = [record(*slow[:2]), record(*slow[2:]), {**record(slow[3]), "device": "another GPU"}]
    behind, far, elsewhere = lost(results, lambda row: "it waits")
    assert behind.lines == [
        ("linear_scan: real varying, float32",),
        ("B 1, L 2\nforward", "– / 25%", "– / 0.75", f"{FAST} is faster queued; note 1"),
    ]
    assert [line[1:] for line in far.lines] == [(), ("– / 50%", "– / –", "note 1")] * 2
    assert [table.notes[1:] for table in (behind, far)] == [["Note 1: it waits."]] * 2
    assert [table.caption for table in (behind, elsewhere)] == [
        "A peer is faster: a GPU", "No peer is faster, but the floor is far: another GPU"
    ]  # fmt: skip


def test_what_is_recorded_of_an_op_is_found_by_its_name(row, record, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(record(row(OURS, 1.0, 1.0), row(OURS, 1.0, 1.0, op="wkv"))))
    (tmp_path / "b.json").write_text(
        json.dumps({"device": "another kind of record", "rows": [{"what": "prefill"}]})
    )
    assert len(read(tmp_path)) == 2
    (table,) = recorded("wkv", tmp_path).tables
    assert [line[0] for line in table.lines] == ["real varying, float32; B 1, L 2", "floor", OURS]
    assert table.caption == "wkv on a GPU"
    assert "No benchmark of gla is recorded" in repr(recorded("gla", tmp_path))
    assert "No benchmark of gla is recorded" in recorded("gla", tmp_path / "no such folder")._repr_html_()


def test_every_record_of_this_project_can_be_read():
    for op in ("linear_scan", "hippo_project", "discretize", "discretize_dense"):
        tables = recorded(op).tables
        assert tables
        assert all(len(line) in (1, len(table.head)) for table in tables for line in table.lines)


def test_nothing_recorded_is_faster_than_its_floor():
    """By more than the rates are known that floors are made of: it would be none."""
    faster = [
        (row["op"], row["variant"], row["shape"], row["pass"], row["implementation"])
        for result in comparisons(read())
        for row in result["rows"]
        if not row["absent"] and row["queued_milliseconds"] < 0.95 * row["floor_milliseconds"]
    ]
    assert faster == []
