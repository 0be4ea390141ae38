"""Sweeps of tilings name what kernels have, and what they set is what is launched."""

from importlib import import_module
from pathlib import Path

import pytest

from seqlab.catalogue import PAIRINGS
from seqlab.ops.backends import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tilings(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.kernel_tilings")


def test_every_setting_gives_names_of_the_kernel_values_of_their_kind(tilings):
    for op, settings in tilings.SWEEPS.items():
        for setting in settings:
            own = {name: getattr(tilings.kernel_of(op), name) for name in setting}
            for name, value in setting.items():
                assert type(value) is type(own[name]), f"{op}: {name}"
                if name != "TILINGS" and isinstance(value, dict):
                    assert set(value) <= set(own[name]), f"{op}: {name}"


def test_a_setting_is_what_is_launched_until_the_next(tilings, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "ops" / "shared")
    launches = import_module("launches")
    pairing, module = PAIRINGS["wkv"], tilings.kernel_of("wkv")
    monkeypatch.setattr(module, "COMPILED", own := module.COMPILED)
    others = [setting["COMPILED"] for setting in tilings.SWEEPS["wkv"]]
    given = [own, *(other for other in others if other != own)]
    seen = []
    for each, setting in zip(list(tilings.kernels("wkv")), given, strict=True):

        def drawn(prepare=each.prepare):
            (workload,), sizes = pairing.workloads, pairing.workload_sizes["cuda"][0]
            arguments = workload.draw(launches.GeneratorOnGPU(), sizes, workload.dtypes[0])
            prepare(arguments)
            yield arguments

        for launch in launches.launches_of(pairing, drawn()):
            if launch.name == "forward_kernel":
                constants = {name: known for name, type, known in launch.signature if type == "constexpr"}
                assert {**constants, **dict(launch.options)}.items() >= setting.items()
                seen.append(setting)
    assert all(setting in seen for setting in given)
