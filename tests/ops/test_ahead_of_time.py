"""Every kernel compiles for every GPU generation that readers have, within its shared memory, without a GPU.

What is compiled is what ops launch, recorded by ``launches``. Nobody lists variants, so none can be listed that is
never launched, and none forgotten.
"""

import functools
from importlib import import_module

import pytest

from seqlab.catalogue import PAIRINGS
from seqlab.ops.backends import has_triton

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_triton(), reason="no Triton")]

SHARED_MEMORY_KIB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}

with_kernel = pytest.mark.parametrize(
    "name",
    [  # what an op launches is recorded once, so one process compiles all of it
        pytest.param(name, marks=pytest.mark.xdist_group(f"ahead of time: {name}"))
        for name, pairing in PAIRINGS.items()
        if "cuda" in pairing.sizes
    ],
)


@functools.cache
def launches(name):
    from launches import launches_of

    return launches_of(PAIRINGS[name])


@with_kernel
def test_every_kernel_of_an_op_is_launched(name):
    launched = {launch.name for launch in launches(name)}
    module = import_module(PAIRINGS[name].op.__module__.rpartition(".")[0] + ".kernel")
    never = {kernel for kernel in vars(module) if kernel.endswith("_kernel")} - launched
    assert launched
    assert not never, f"no sample and no workload of {name} makes it launch {', '.join(sorted(never))}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("capability", SHARED_MEMORY_KIB)
@with_kernel
def test_kernels_compile(name, capability):
    compilable = [x for x in launches(name) if capability >= 80 or "*bf16" not in x.types]
    facts = FACTS.get(capability, name_alone)
    for launch in covering(compilable, facts):
        used = launch.compile(capability).metadata.shared
        assert used <= 1024 * SHARED_MEMORY_KIB[capability], f"{launch}: {used} bytes of shared memory"


def parameters(launch):
    """Each type and known value of each parameter."""
    return {(launch.name, fact) for fact in launch.signature}


def parameters_and_tiles(launch):
    """And each tile with its number of warps."""
    tile = [known for _, type, known in launch.signature if type == "constexpr" and known.__class__ is int]
    return parameters(launch) | {(launch.name, tuple(tile), launch.options)}


def name_alone(launch):
    return {launch.name}


# In full on the chip that tilings were chosen on; by parameters on the oldest, with the least memory and no bfloat16.
FACTS = {75: parameters, 90: parameters_and_tiles}


def covering(launches, facts):
    """As few of the launches as it takes for every fact that is true of one of them, the most telling ones first."""
    left = set().union(*map(facts, launches))
    while left:
        best = max(launches, key=lambda launch: len(facts(launch) & left))
        left -= facts(best)
        yield best


def test_a_cover_holds_every_fact():
    numbers = [1, 2, 3, 6, 35]
    divisors = {n: {d for d in (2, 3, 5, 7) if n % d == 0} for n in numbers}
    assert list(covering(numbers, divisors.get)) == [6, 35]
