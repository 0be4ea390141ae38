"""Every op of the catalogue on a real GPU, at sizes where states pass between programs: right, registered, compiled,
captured, on any stream and device, whatever ran since."""

import gc
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from carries import CHECKS, ON_GPU, Call, captured, replay
from op_calls import arguments_of, equal, registered_calls, tensors_in, values_and_gradients
from torch import Tensor

from seqlab import ops
from seqlab.catalogue import PAIRINGS
from seqlab.ops import kept
from seqlab.verify import comparisons, table

pytestmark = pytest.mark.gpu

KINDS = [pytest.param((name, kind), id=f"{name}: {kind}") for name in ON_GPU for kind in PAIRINGS[name].kinds]
SAMPLES = [
    pytest.param(name, number, id=f"{name}: {sample.name}")
    for name in ON_GPU
    for number, sample in enumerate(PAIRINGS[name].samples)
]
every_kind = pytest.mark.parametrize("kind", KINDS)


def draw(kind, device="cuda", **sizes):
    pairing = PAIRINGS[kind[0]]
    return pairing, arguments_of(pairing, kind[1], {**pairing.carry, **sizes}, device=device)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "number"), SAMPLES)
def test_values_and_gradients_equal_the_reference(name, number):
    chosen = [each for each in comparisons([name], ["cuda"]) if each.sample == number]
    rows = [each.run() for each in chosen]
    assert any(row.backend == "cuda" for row in rows)
    assert all(row.passed for row in rows), table(rows)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@every_kind
def test_carries_arrive(kind, check):
    check(Call(*kind))


@pytest.fixture
def impatient(monkeypatch, tmp_path):
    """The kernel of the scan with a receiver that takes what it reads first, there or not."""
    waiting = """    while any_stale(words, launch):
        words = load_words(pointers, launch, mask)
"""

    def altered(module, name, before, after):
        source = Path(importlib.util.find_spec(module).origin).read_text()
        assert source.count(before) == 1
        path = tmp_path / f"{name}.py"
        path.write_text(source.replace(before, after))
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    altered("seqlab.ops.device.chained_scan", "impatient_chained_scan", waiting, "")
    kernel = altered(
        "seqlab.ops.linear_scan.kernel",
        "impatient_kernel",
        "from seqlab.ops.device.chained_scan import",
        "from impatient_chained_scan import",
    )
    from seqlab.ops.linear_scan import op

    monkeypatch.setattr(op, "kernel_of", lambda name: kernel)
    # The altered module counts its own launches, in status words that go by the same name.
    ops.clear_cache()
    yield
    ops.clear_cache()
    del sys.modules["impatient_chained_scan"], sys.modules["impatient_kernel"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_receiver_that_does_not_wait_is_seen(impatient, check):
    """So that the tests above may be believed."""
    call = Call("linear_scan", PAIRINGS["linear_scan"].kinds[0])
    with pytest.raises(AssertionError):
        check(call)


@every_kind
def test_kernels_are_what_runs_on_a_gpu(kind):
    """Where the op has one for these inputs; elsewhere it says that it has none, and what will do."""
    pairing, arguments = draw(kind)
    (sample,) = (sample for sample in pairing.samples if sample.name == kind[1])
    if sample.has_kernel:
        assert equal(pairing.op(**arguments), pairing.op(**arguments, backend="triton"))
    else:
        with pytest.raises(ValueError, match=r"backend: .*'portable'"):
            pairing.op(**arguments, backend="triton")


@pytest.mark.parametrize("sizes", [{}, {"length": 1}], ids=["where states are carried", "one step"])
@every_kind
def test_a_launch_gives_the_same_bits_again(kind, sizes):
    pairing, arguments = draw(kind, **sizes)
    first = values_and_gradients(pairing, arguments)
    assert all(equal(values_and_gradients(pairing, arguments), first) for _ in range(5))


@pytest.mark.timeout(300)
@every_kind
def test_registration_passes_opcheck(kind):
    pairing, arguments = draw(kind)
    calls = registered_calls(pairing, arguments)
    assert len(calls) >= 2
    for function, args, options in calls:
        assert set(torch.library.opcheck(function, args, options).values()) == {"SUCCESS"}


@every_kind
def test_nothing_waits_for_the_gpu(kind, monkeypatch):
    # What LegS keeps for zero-order hold at this size is more than there is room for, and is made at every call then.
    monkeypatch.setattr(kept, "BUDGET", 2**32)
    pairing, arguments = draw(kind)
    values_and_gradients(pairing, arguments)  # compiles, and fills what is kept between calls
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        values_and_gradients(pairing, arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@every_kind
def test_work_is_queued_on_the_current_stream(kind):
    call = Call(*kind)
    late = {
        key: torch.full_like(x, torch.nan) if isinstance(x, Tensor) else x
        for key, x in call.inputs[0].items()
    }
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        # The inputs arrive after a while, on this stream: a kernel on any other would read NaN.
        torch.cuda._sleep(50_000_000)
        for key, x in tensors_in(call.inputs[0]).items():
            late[key].copy_(x)
        actual = call.run(late)
    stream.synchronize()
    call.check(0, actual)


@every_kind
def test_tensors_of_a_device_that_is_not_the_current_one(kind):
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU only, and this test needs a second")
    assert torch.cuda.current_device() == 0
    call = Call(*kind, device="cuda:1")
    for i in range(4):
        found = call.run(call.inputs[i % 2])
        assert {x.device for x in found} == {torch.device("cuda:1")}
        call.check(i % 2, found)
    with torch.cuda.device(1):
        graph, inputs, results = captured(call)
        for number in (1, 0, 1):
            replay(call, graph, inputs, results, number)


# What is kept between calls.


def other_lengths(kind, count):
    """Run the op at so many other lengths, and fill whatever memory is free then with NaN."""
    pairing, _ = draw(kind)
    longest = pairing.carry["length"]
    for i in range(count):
        _, arguments = draw(kind, length=1 + (longest - 7 * i - 3) % (longest - 1))
        pairing.op(**arguments)
    gc.collect()
    torch.cuda.synchronize()
    return [torch.full((2**k,), torch.nan, device="cuda") for k in range(9, 25) for _ in range(4)]


@pytest.fixture(params=[2**28, 2**21], ids=["room for all", "room for little"])
def budget(request, monkeypatch):
    """How many bytes ops may keep."""
    ops.clear_cache()
    monkeypatch.setattr(kept, "BUDGET", request.param)
    yield request.param
    ops.clear_cache()


def lacks_room(kind, budget):
    """Whether no graph can be captured: a fixed window is its matrices, and without room for them has no other way."""
    return budget < 2**28 and any(measure in kind[1] for measure in ("legt", "lagt", "fourier"))


@every_kind
def test_a_graph_replays_after_forty_other_lengths(kind, budget):
    """And after what may be freed was freed: its replays read what they read when they were captured."""
    call = Call(*kind)
    if lacks_room(kind, budget):
        with pytest.raises(RuntimeError, match="room to keep them"):
            captured(call)
        return
    graph, inputs, results = captured(call)
    replay(call, graph, inputs, results, 1)
    poison = other_lengths(kind, 40)
    replay(call, graph, inputs, results, 0)
    ops.clear_cache()
    poison += other_lengths(kind, 2)
    replay(call, graph, inputs, results, 1)
    del poison


@every_kind
def test_a_cache_that_is_cleared_under_a_capture(kind, budget):
    if lacks_room(kind, budget):
        pytest.skip("nothing is kept of a fixed window without room for its matrices")
    call = Call(*kind)
    inputs = call.inputs[0]
    call.run(inputs)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        first = call.run(inputs)
        ops.clear_cache()
        second = call.run(inputs)
    poison = other_lengths(kind, 3)
    graph.replay()
    call.check(0, first)
    call.check(0, second)
    del poison


@every_kind
def test_a_side_stream_reads_what_others_evict(kind, budget):
    """While it still reads, other lengths take the room of what it reads."""
    call = Call(*kind)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    results = []
    for i in range(4):
        with torch.cuda.stream(side):
            torch.cuda._sleep(20_000_000)
            results.append((i % 2, call.run(call.inputs[i % 2])))
        poison = [draw(kind, length=call.pairing.carry["length"] - 5 * i - j - 2) for j in range(2)]
        for pairing, arguments in poison:
            pairing.op(**arguments)
        ops.clear_cache()
        blocks = [torch.full((2**k,), torch.nan, device="cuda") for k in range(9, 23) for _ in range(2)]
        del blocks
    torch.cuda.synchronize()
    for number, found in results:
        call.check(number, found)


@every_kind
def test_training_follows_inference_mode(kind, budget):
    pairing, arguments = draw(kind)
    with torch.inference_mode():
        outputs = pairing.op(**arguments)
    found = values_and_gradients(pairing, arguments)
    assert equal(found[: len(outputs)], outputs)


def test_what_is_kept_is_counted_and_freed(pairing):
    def run():
        for kind in pairing.kinds:
            pairing.op(**arguments_of(pairing, kind, pairing.carry, device="cuda"))
        torch.cuda.synchronize()

    run()  # what libraries allocate for themselves at their first call
    ops.clear_cache()
    before, counted = torch.cuda.memory_allocated(), ops.cache_bytes("cuda")
    run()
    grown, counted = torch.cuda.memory_allocated() - before, ops.cache_bytes("cuda") - counted
    assert counted <= grown <= 1.1 * counted + 2**16
    ops.clear_cache()
    assert torch.cuda.memory_allocated() - before <= 2**16
