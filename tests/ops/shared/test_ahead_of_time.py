"""Every kernel compiles for every GPU generation that readers have, within its shared memory, without a GPU: on every
push for the oldest, and for all of them where everything is tried.

What is compiled is what ops launch, recorded by ``launches``. Nobody lists variants, so none can be listed that is
never launched, and none forgotten. A kernel is compiled as the op's whose folder it lies in.
"""

import functools
from importlib import import_module
from pathlib import Path

import pytest

from seqlab.catalogue import PAIRINGS
from seqlab.ops.backends import has_triton

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_triton(), reason="no Triton")]

FLOATS = {"*fp32", "*fp16", "*bf16"}
SHARED_MEMORY_KIB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}


def own_kernels(op):
    """The kernels beside an op, each with its module; none if it launches other ops' alone."""
    folder = import_module(op.__module__.rpartition(".")[0])
    modules = [f"{folder.__name__}.{file.stem}" for file in Path(folder.__file__).parent.glob("*.py")]
    names = [
        (kernel.fn.__module__, name)
        for each in modules
        for name, kernel in vars(import_module(each)).items()
        if name.endswith("_kernel") and hasattr(kernel, "fn")
    ]
    return {(module, name) for module, name in names if module in modules}


WITH_KERNEL = [name for name, pairing in PAIRINGS.items() if "cuda" in pairing.sizes]
BORROWERS = [name for name in WITH_KERNEL if has_triton() and not own_kernels(PAIRINGS[name].op)]


def with_kernel(but=()):
    """What an op launches is recorded once, so one process compiles all of it."""
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.xdist_group(f"ahead of time: {name}"))
            for name in WITH_KERNEL
            if name not in but
        ],
    )


every_op = with_kernel()
every_owner = with_kernel(but=BORROWERS)


@functools.cache
def launches(name, capability=90):
    from launches import every_arguments, launches_of

    return launches_of(PAIRINGS[name], every_arguments(PAIRINGS[name]), capability=capability)


@every_op
def test_every_kernel_of_an_op_is_launched(name):
    launched = {(launch.kernel.fn.__module__, launch.name) for launch in launches(name)}
    never = own_kernels(PAIRINGS[name].op) - launched
    assert launched
    assert not never, f"no sample and no workload of {name} makes it launch {sorted(never)}"


@pytest.mark.parametrize("name", BORROWERS)
def test_kernels_of_other_ops_are_compiled_as_theirs(name):
    """An op without any of its own launches none with other floats, or in a larger tile, than those do."""
    compiled = {}
    for owner in set(WITH_KERNEL) - set(BORROWERS):
        module = PAIRINGS[owner].op.__module__.rpartition(".")[0]
        if module in {launch.kernel.fn.__module__.rpartition(".")[0] for launch in launches(name)}:
            for launch in launches(owner):
                for fact in kernel_and_floats(launch):
                    compiled[fact] = max(launch.tile, compiled.get(fact, 0))
    for launch in launches(name):
        for fact in kernel_and_floats(launch):
            assert launch.tile <= compiled.get(fact, 0), launch


def compilable(name, capability):
    """Those of the largest tiles first."""
    found = launches(name, capability)
    found = [launch for launch in found if capability >= 80 or "*bf16" not in launch.types]
    return sorted(found, key=lambda launch: -launch.tile)


@pytest.mark.timeout(900)
@every_owner
def test_each_kernel_compiles_for_the_oldest_gpu(name):
    """Which has the least shared memory. For a newer one, types are checked below, and one kernel of each op is
    compiled by other releases of Triton: tests/test_releases.py."""
    for launch in covering(compilable(name, 75), kernel_and_floats):
        check_compiled(launch, 75)


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("capability", SHARED_MEMORY_KIB)
@every_owner
def test_kernels_compile(name, capability):
    for launch in covering(compilable(name, capability), kernel_and_floats):
        check_compiled(launch, capability)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@every_owner
def test_every_tiling_compiles_for_the_gpu_it_was_chosen_on(name):
    for launch in covering(launches(name), parameters_and_tiles):
        check_compiled(launch, 90)


def check_compiled(launch, capability):
    used = launch.compile(capability).metadata.shared
    assert used <= 1024 * SHARED_MEMORY_KIB[capability], f"{launch}: {used} bytes of shared memory"


@every_op
def test_types_fit_in_every_tiling(name):
    for launch in covering(launches(name), parameters_and_tiles):
        launch.check_types(90)


@every_op
def test_types_fit_where_sizes_are_one(name):
    """What Triton compiles in has no dtype, and is not to be asked for one."""
    from launches import arguments_of_size_one, launches_of

    found = launches_of(PAIRINGS[name], arguments_of_size_one(PAIRINGS[name]))
    ones = [launch for launch in found if launch.has_one]
    assert ones
    for launch in covering(ones, parameters):
        launch.check_types(90)


def parameters(launch):
    """Each type and known value of each parameter."""
    return {(launch.name, fact) for fact in launch.signature}


def parameters_and_tiles(launch):
    """And each tile with its number of warps."""
    tile = [known for _, type, known in launch.signature if type == "constexpr" and known.__class__ is int]
    return parameters(launch) | {(launch.name, tuple(tile), launch.options)}


def kernel_and_floats(launch):
    """Any of them may take the most shared memory: float16 beside float32 is kept as both."""
    return {(launch.kernel.fn.__module__, launch.name, frozenset(launch.types & FLOATS))}


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
