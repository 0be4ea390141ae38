"""What ops keep between calls: made outside of the caller's modes, within a budget, freed on demand."""

import threading

import pytest
import torch

from seqlab.ops import cache_bytes, clear_cache, kept
from seqlab.ops.kept import keep

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(kept, "_kept", {})


def zeros(count):
    return lambda: torch.zeros(count, dtype=torch.uint8)


def test_a_value_is_made_once_for_a_key_and_a_device():
    made = []

    def make():
        made.append(1)
        return torch.zeros(8), torch.ones(8)

    first = keep("key", CPU, 64, make)
    assert keep("key", CPU, 64, make) is first
    assert made == [1]
    assert cache_bytes() == cache_bytes("cpu") == 64
    assert cache_bytes("cuda") == 0


def test_what_was_read_longest_ago_makes_room(monkeypatch):
    monkeypatch.setattr(kept, "BUDGET", 300)
    for key in "abc":
        keep(key, CPU, 100, zeros(100))
    a = keep("a", CPU, 100, zeros(100))
    keep("d", CPU, 100, zeros(100))
    assert cache_bytes() == 300
    assert keep("a", CPU, 100, zeros(100)) is a
    assert list(kept._kept[CPU]) == ["c", "d", "a"]


def test_what_has_no_room_is_not_made(monkeypatch):
    monkeypatch.setattr(kept, "BUDGET", 300)
    keep("a", CPU, 200, zeros(200))
    assert keep("too large", CPU, 301, lambda: pytest.fail("made all the same")) is None
    assert cache_bytes() == 200


def test_what_a_graph_has_read_stays(monkeypatch):
    monkeypatch.setattr(kept, "BUDGET", 300)
    keep("a", CPU, 200, zeros(200))
    keep("b", CPU, 50, zeros(50))
    kept._kept[CPU]["a"].pinned = True
    assert keep("c", CPU, 101, lambda: pytest.fail("made all the same")) is None
    assert clear_cache() == 50
    assert cache_bytes() == 200


def test_values_are_made_outside_of_the_callers_modes():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16), torch.device("meta"):
        value = keep("key", CPU, 64, lambda: torch.ones(4, 4) @ torch.ones(4, 4))
    assert not value.is_inference()
    assert value.dtype == torch.float32
    assert value.device == CPU


def test_an_error_while_a_value_is_made_reaches_the_caller_and_keeps_nothing():
    def make():
        raise ArithmeticError("singular")

    with pytest.raises(ArithmeticError, match="singular"):
        keep("key", CPU, 64, make)
    assert cache_bytes() == 0


def test_threads_get_one_value():
    found = []
    start = threading.Barrier(8)

    def read():
        start.wait()
        found.append(keep("key", CPU, 8, zeros(8)))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(value is found[0] for value in found)
