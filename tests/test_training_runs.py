"""Runs at full length, at tiny sizes: every row has a model that trains, and the record holds what was asked."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab.benchmark import records
from seqlab.tasks import characters

ROOT = Path(seqlab.__file__).parent.parent
TINY = "--steps 1 --width 4 --batch-size 2 --seeds 2 --rows"


@pytest.fixture
def runs(monkeypatch):
    """The module of a name, which lies beside the package and is not installed with it."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return lambda name: import_module(f"benchmarks.{name}")


@pytest.fixture
def recorded(runs, monkeypatch, tmp_path):
    """The record of the first rows of a module, of those that are named if any are."""

    def record(name, rows, *only):
        file = tmp_path / "record.json"
        words = [*TINY.split(), str(rows), "--out", str(file), *(["--only", *only] if only else [])]
        monkeypatch.setattr(sys, "argv", [name, *words])
        runs(name).main()
        return json.loads(file.read_text())

    return record


def test_the_rows_of_xlstm_are_recorded_with_their_longer_tests(recorded, monkeypatch, runs):
    module = runs("xlstm_runs")
    rows = (("cycle navigation", "mLSTM, sLSTM", 1e-2), ("search", "transformer", 1e-3))
    monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(module, "FURTHER", (3, 5))
    record = recorded("xlstm_runs", 2)
    language, search = record["rows"]
    assert (language["task"], language["layer"]) == ("cycle navigation of 3 to 40 symbols", "mLSTM, sLSTM")
    assert [list(each) for each in language["further"]] == [["3", "5"]] * 2  # of each seed
    assert all(0 <= score <= 1 for each in language["further"] for score in each.values())
    assert (search["task"], search["layer"], search["further"]) == (
        "nearest of 63 neighbors",
        "transformer",
        [],
    )
    assert (language["lr"], search["lr"]) == (1e-2, 1e-3)
    assert [row["measure"] for row in record["rows"]] == ["accuracy", "mean squared error"]
    assert all(len(row["scores"]) == 2 for row in record["rows"])


def test_every_row_of_xlstm_has_a_model_whose_answers_fit_its_task(runs):
    module = runs("xlstm_runs")
    assert [row[:2] for row in module.ROWS[:2]] == [("parity", "sLSTM"), ("parity", "mLSTM")]
    assert len(set(module.ROWS)) == len(module.ROWS)
    assert {layer for _, layer, _ in module.ROWS} == set(module.BLOCKS)
    tasks = {name: module.task_of(name) for name, _, _ in module.ROWS}
    batches = {name: next(task.batches(2, 0)) for name, task in tasks.items()}
    for name, layer, _ in module.ROWS:
        inputs, targets = batches[name]
        model = module.model_of(layer, tasks[name], 4)
        assert torch.isfinite(tasks[name].loss(model(inputs), targets))


def test_every_cell_of_mambas_table_has_a_model_whose_answers_fit_its_task(runs):
    module = runs("mamba_runs")
    assert len(set(module.ROWS)) == len(module.ROWS)
    cells = {(block, layer) for name, _, block, layer in module.ROWS if name == "copying"}
    every = {(block, layer) for block in ("none", *module.BLOCKS) for layer in module.LAYERS}
    assert cells == every - {("none", "Hyena")}  # as in the paper
    task = module.selective_copying(module.SYMBOLS, 4, 16)
    inputs, targets = next(task.batches(2, 0))
    for block, layer in cells:
        torch.manual_seed(0)
        model = module.model_of(block, layer, task, 4)
        assert sum(type(each).__name__ == layer for each in model.modules()) == 2, (block, layer)
        loss = task.loss(model(inputs), targets)
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters()), (block, layer)


def test_the_ablation_of_gates_is_the_chapters_experiment(runs, monkeypatch, tmp_path):
    module = runs("gate_ablation")
    file = tmp_path / "record.json"
    monkeypatch.setattr(module, "HELD_OUT", 4)
    words = ["gate_ablation", "--steps", "25", "--seeds", "2", "--out", str(file)]
    monkeypatch.setattr(sys, "argv", words)
    module.main()
    record = json.loads(file.read_text())
    assert [row["gates"] for row in record["rows"]] == ["neither", "forget", "input", "both"]
    assert all(len(row["scores"]) == 2 for row in record["rows"])
    assert all(len(scores) == 1 and 0 <= scores[0] <= 1 for row in record["rows"] for scores in row["scores"])
    assert set(vars(module.of_the_chapter())) == module.NAMES


@pytest.mark.parametrize("name", ["recall_runs", "mamba_runs"])
def test_the_first_row_of_others_is_recorded(recorded, name):
    (row,) = recorded(name, 1)["rows"]
    assert (row["layer"], row["steps"]) == ({"recall_runs": "attention", "mamba_runs": "S6"}[name], 1)
    assert len(row["scores"]) == 2
    assert row["parameters"] > 0


def test_recall_from_a_vocabulary_records_what_was_asked_and_how_little_was_read(recorded, runs, monkeypatch):
    module = runs("mqar_runs")
    monkeypatch.setattr(module, "VOCABULARY", 300)
    first, second = recorded("mqar_runs", 2, "64 4 mLSTM 0.004", "256 16 transformer 0.01")["rows"]
    sizes = [[row[key] for key in ("length", "pairs", "layer", "lr")] for row in (first, second)]
    assert sizes == [[64, 4, "mLSTM", 4e-3], [256, 16, "transformer", 1e-2]]
    assert (first["vocabulary"], first["width"], first["steps"], first["batch_size"]) == (300, 4, 1, 2)
    assert (first["examples"], first["authors_examples"]) == (2, 6_400_000)
    assert (first["task"], first["chance"]) == ("recall of 4 pairs over 64 of 300 tokens", 1 / 150)
    assert all(len(row["scores"]) == 2 and row["parameters"] > 0 for row in (first, second))
    assert len(set(module.ROWS)) == len(module.ROWS)


def test_layers_that_recall_embed_what_they_read_and_name_values_by_their_embedding(runs):
    module = runs("mqar_runs")
    task = module.zoology_recall(2, 8, 20)  # the values are tokens 10 to 19
    tokens, targets = next(task.batches(4, 0))
    for layer in module.LAYERS:
        model = module.model_of(layer, task, 8)
        before = model(tokens)
        task.loss(before, targets).backward()
        learned = model.encode.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
        assert set(learned) == {*tokens.unique().tolist(), *range(10, 20)}, layer
        with torch.no_grad():
            unread = next(value for value in range(10, 20) if value not in tokens)
            model.encode.weight[unread] *= 2
            after = model(tokens)
        expected = before.detach().clone()
        expected[..., unread - 10] *= 2
        torch.testing.assert_close(after, expected)


def test_further_seeds_are_joined_to_a_record(runs, monkeypatch, tmp_path):
    """Of two runs, the second of which begins where the first one ended and has a row more."""
    mamba, files = runs("mamba_runs"), [tmp_path / "first.json", tmp_path / "second.json"]
    monkeypatch.setattr(mamba, "FURTHER", (1, 2))
    monkeypatch.setattr(mamba, "TESTED", 2)
    rows = ("induction 64 Mamba S6", "copying 64 Mamba S6")
    for file, first, chosen in zip(files, (0, 2), (rows[:1], rows), strict=True):
        words = [*TINY.split(), "2", "--out", str(file), "--first-seed", str(first), "--only", *chosen]
        monkeypatch.setattr(sys, "argv", ["mamba_runs", *words])
        mamba.main()
    join, out = runs("join_runs"), tmp_path / "joined.json"
    monkeypatch.setattr(sys, "argv", ["join_runs", *map(str, files), "--out", str(out)])
    join.main()
    first, second, both = (json.loads(file.read_text()) for file in (*files, out))
    (induction,), (more, copying) = first["rows"], second["rows"]
    assert more["scores"] != induction["scores"]
    assert both["rows"] == [
        {
            **induction,
            "scores": induction["scores"] + more["scores"],
            "further": induction["further"] + more["further"],
        },
        copying,
    ]
    assert both["seeds"] == 4
    (of_second,) = both["joined"]
    assert of_second["commit"] == second["commit"]
    said = records.origin({**both, "joined": [{**of_second, "commit": "f" * 40}]})
    assert said.startswith(records.origin(first))
    assert said.endswith(f"; of commit {'f' * 12}, {second['date']}: seeds 2 to 3")
    assert join.joined(first, {**second, "seeds": 1})["joined"][0]["implementation"] == "seed 2"
    alone = {**second, "first_seed": 0, "rows": [copying]}
    beside = join.joined(first, alone)
    assert (beside["rows"], beside["seeds"]) == ([induction, copying], 2)
    assert beside["joined"][0]["implementation"] == copying["task"]
    more_seeds = join.joined(beside, {**second, "rows": [more]})["joined"]
    assert [each["implementation"] for each in more_seeds] == [f"{copying['task']}, seeds 2 to 3"]
    later = join.joined(beside, {**second, "rows": [more], "date": "2100-01-01"})["joined"]
    assert [each["implementation"] for each in later] == [copying["task"], "seeds 2 to 3"]
    with pytest.raises(
        ValueError, match=r"^first_seed: expected 2 at least, as those before are there, got 0"
    ):
        join.joined(first, first)
    with pytest.raises(ValueError, match=r"^device: expected .+ in all records, got another"):
        join.joined(first, {**second, "device": "another"})


def test_layers_read_text_and_are_tested_far_beyond(recorded, runs, monkeypatch):
    module = runs("text_runs")
    text = "To be, or not to be: that is the question. " * 40
    monkeypatch.setattr(module, "shakespeare", lambda length: characters("Hamlet", text, length))
    for name, value in {"LENGTH": 8, "FURTHEST": 32, "TEXTS": 2}.items():
        monkeypatch.setattr(module, name, value)
    rows = recorded("text_runs", 3, "mLSTM", "RWKV-*")["rows"]
    assert [row["layer"] for row in rows] == ["mLSTM", "RWKV-4", "RWKV-6"]
    assert all(list(each) == ["8", "16", "32"] for row in rows for each in row["further"])
    assert all(bits > 0 for row in rows for each in row["further"] for bits in each.values())
    assert {row["measure"] for row in rows} == {"bits per character"}
    assert {(row["depth"], row["heads"], row["lr"]) for row in rows} == {(2, 2, 4e-3)}


@pytest.mark.parametrize(("heads", "depth"), [(2, 2), (8, 3)])
def test_layers_of_text_have_as_many_parameters_at_every_depth(runs, heads, depth):
    module = runs("text_runs")
    task = characters("Hamlet", "To be, or not to be: that is the question. " * 40, 8)
    wanted = module.parameters(module.model_of("attention", task, 64, heads, depth))
    for layer in module.BLOCKS:
        width = module.width_of(layer, task, 64, heads, depth)
        model = module.model_of(layer, task, width, heads, depth)
        assert len(model.blocks) == depth
        assert 0.85 < module.parameters(model) / wanted < 1.15, layer
        inputs, targets = next(task.batches(2, 0))
        assert torch.isfinite(task.loss(model(inputs), targets))


def test_the_second_half_of_each_length_is_judged(runs, monkeypatch):
    module = runs("text_runs")
    text = "ab" * 500
    monkeypatch.setattr(module, "shakespeare", lambda length: characters("ab", text, length))
    for name, value in {"LENGTH": 8, "FURTHEST": 32, "TEXTS": 2}.items():
        monkeypatch.setattr(module, name, value)

    class Blind(torch.nn.Module):
        """Sure of what is next for 16 characters, and of nothing from there on."""

        def __init__(self):
            super().__init__()
            self.sure = torch.nn.Parameter(torch.tensor(50.0))

        def forward(self, u):
            seen = (torch.arange(u.shape[1]) < 16)[:, None]
            return self.sure * u.flip(-1) * seen

    assert module.bits_at(Blind(), module.long_texts()) == pytest.approx({8: 0, 16: 0, 32: 1})
