"""Ways to run an op on a GPU in which a carry between programs may go wrong, each held to float64.

Every check runs the op at the size of its catalogue entry at which states pass from chunk to chunk and from group to
group of programs, on two sets of inputs in turn: what one launch leaves in memory is wrong for the next.
"""

import threading

import torch
from op_calls import arguments_of, noise_like, tensors_in, values_and_gradients
from torch import Tensor

from seqlab.catalogue import PAIRINGS

ON_GPU = [name for name, pairing in PAIRINGS.items() if "cuda" in pairing.sizes]


class Call:
    """One kind of a call of an op, with two sets of inputs and what is true of each."""

    def __init__(self, name, kind, device="cuda"):
        self.pairing = PAIRINGS[name]
        first = arguments_of(self.pairing, kind, self.pairing.carry, device=device)
        # Times, decays and rates stay in the range of the first set: others may overflow.
        second = {key: x.flip(0) * 0.75 if isinstance(x, Tensor) else x for key, x in first.items()}
        self.inputs = [first, second]
        self.cotangents = [noise_like(x, seed) for seed, x in enumerate(self.pairing.op(**first))]
        self.truth = []
        for arguments in self.inputs:
            wide = {key: double(x) if isinstance(x, Tensor) else x for key, x in arguments.items()}
            cotangents = [double(c) for c in self.cotangents]
            self.truth.append(
                values_and_gradients(self.pairing, wide, cotangents=cotangents, backend="portable")
            )

    def run(self, arguments, op=None):
        """Values and gradients."""
        return values_and_gradients(self.pairing, arguments, op=op, cotangents=self.cotangents)

    def check(self, number, found):
        """What was found for one set of inputs is true, by the bounds of ``verify``."""
        for i, (x, true) in enumerate(zip(found, self.truth[number], strict=True)):
            error = float((x - true).norm() / true.norm())
            assert error < (1e-5 if i < len(self.pairing.outputs) else 1e-4), (i, error)


def double(x):
    return x.to(torch.promote_types(x.dtype, torch.float64))


def launch_after_launch(call):
    results = [(i % 2, call.run(call.inputs[i % 2])) for i in range(10)]
    for number, found in results:
        call.check(number, found)


def on_streams(call):
    """Launches on three streams at the same time."""
    streams = [torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.Stream()]
    torch.cuda.synchronize()
    results = []
    for i in range(12):
        with torch.cuda.stream(streams[i % 3]):
            results.append((i % 2, call.run(call.inputs[i % 2])))
    torch.cuda.synchronize()
    for number, found in results:
        call.check(number, found)


def in_threads(call):
    """Launches from three threads, on one stream, in an order that nobody decides."""
    results = []

    def work(number):
        for i in range(4):
            results.append(((number + i) % 2, call.run(call.inputs[(number + i) % 2])))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.cuda.synchronize()
    assert len(results) == 12  # an error in a thread is lost otherwise
    for number, found in results:
        call.check(number, found)


def captured(call):
    """A graph, forward and backward, with what it reads and writes: (graph, inputs, results)."""
    inputs = {key: x.clone() if isinstance(x, Tensor) else x for key, x in call.inputs[0].items()}
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    call.run(inputs)
    with torch.cuda.stream(aside):
        call.run(inputs)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=aside):
        results = call.run(inputs)
    return graph, inputs, results


def replay(call, graph, inputs, results, number):
    """Give the graph a set of inputs and check what it makes of them."""
    for key, x in tensors_in(call.inputs[number]).items():
        inputs[key].copy_(x)
    graph.replay()
    call.check(number, results)


def in_a_graph(call):
    graph, inputs, results = captured(call)
    for i in range(6):
        replay(call, graph, inputs, results, (i + 1) % 2)


def compiled(call):
    torch._dynamo.reset()
    op = torch.compile(call.pairing.op, fullgraph=True)
    for i in range(4):
        call.check(i % 2, call.run(call.inputs[i % 2], op=op))


def in_graph_trees(call):
    """What ``torch.compile`` records by itself; what is kept between calls must not lie in the memory of a graph."""
    torch._dynamo.reset()
    op = torch.compile(call.pairing.op, fullgraph=True, mode="reduce-overhead")
    for i in range(6):  # to warm up, to record, to replay
        torch.compiler.cudagraph_mark_step_begin()
        call.check(i % 2, call.run(call.inputs[i % 2], op=op))


CHECKS = [launch_after_launch, on_streams, in_threads, in_a_graph, compiled, in_graph_trees]
