"""Sweeps of tilings name what kernels have, and what they set is what is launched."""

import pickle
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from seqlab.benchmark import Absent
from seqlab.benchmark.problem import Problem, problems
from seqlab.catalogue import PAIRINGS
from seqlab.ops.backends import has_triton

sys.path.append(str(Path(__file__).parents[2]))  # it lies beside the package, and is not installed with it
from benchmarks import kernel_tilings as tilings

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")


@pytest.fixture
def launches(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "ops" / "shared")
    return import_module("launches")


@pytest.fixture
def as_it_was(monkeypatch):
    """as_it_was(op) has the op's module with its own values again after the test."""

    def keep(op):
        module = tilings.module_of(op)
        for name in {name for setting in tilings.SWEEPS[op] for name in setting}:
            monkeypatch.setattr(module, name, getattr(module, name))
        return module

    return keep


def test_every_setting_gives_names_of_the_kernel_values_of_their_kind():
    for op, settings in tilings.SWEEPS.items():
        for setting in settings:
            own = {name: getattr(tilings.module_of(op), name) for name in setting}
            for name, value in setting.items():
                assert type(value) is type(own[name]), f"{op}: {name}"
                if name != "TILINGS" and isinstance(value, dict):
                    assert set(value) <= set(own[name]), f"{op}: {name}"


def test_a_setting_is_what_is_launched_until_the_next(launches, as_it_was):
    pairing, own = PAIRINGS["wkv"], as_it_was("wkv").COMPILED
    others = [setting["COMPILED"] for setting in tilings.SWEEPS["wkv"]]
    given = [own, *(other for other in others if other != own)]
    seen = []
    for each, setting in zip(list(tilings.kernels("wkv")), given, strict=True):
        for launch in launches.launches_of(pairing, drawn(each, launches)):
            if launch.name == "forward_kernel":
                constants = {name: known for name, type, known in launch.signature if type == "constexpr"}
                assert {**constants, **dict(launch.options)}.items() >= setting.items()
                seen.append(setting)
    assert all(setting in seen for setting in given)


def drawn(implementation, launches):
    """The arguments of every problem that the implementation is timed on, each prepared as it is drawn."""
    for problem in problems([implementation.op], False, launches.GPU):
        arguments = problem.workload.draw(launches.GeneratorOnGPU(), problem.sizes, problem.dtype)
        try:
            implementation.prepare(arguments)
        except Absent:
            continue
        yield arguments


@pytest.mark.spread
@pytest.mark.parametrize("sweep", tilings.SWEEPS)
def test_every_setting_launches_something_else(launches, as_it_was, sweep):
    as_it_was(sweep)
    first = {}
    for each in tilings.kernels(sweep):
        grids = []
        found = launches.launches_of(PAIRINGS[each.op], drawn(each, launches), grids)
        launched = repr((sorted(map(repr, found)), sorted(grids)))
        assert first.setdefault(launched, each.name) == each.name


def test_a_worker_compiles_the_setting_it_was_given_whatever_it_compiled_before(
    as_it_was, monkeypatch, capsys
):
    module = as_it_was("wkv")
    (workload,) = PAIRINGS["wkv"].workloads
    tiny = Problem("wkv", workload, PAIRINGS["wkv"].sizes["interpreter"][0], torch.float32)
    monkeypatch.setattr(tilings, "problems", lambda *_: [tiny])
    monkeypatch.setattr(tilings, "device_here", lambda: torch.device("cpu"))
    as_it_is, *others = tilings.kernels("wkv")
    own = module.COMPILED
    for implementation in (others[-1], as_it_is):
        sent = pickle.loads(pickle.dumps(implementation))
        tilings.compile_for(sent, quick=False)
        launched = own if implementation is as_it_is else tilings.SWEEPS["wkv"][-1]["COMPILED"]
        assert launched == module.COMPILED
    assert capsys.readouterr().out == ""  # nothing failed
