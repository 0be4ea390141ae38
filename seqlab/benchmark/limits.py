"""What the device can do at best, measured, and the least time that follows for an
op."""

from typing import Any

import torch

from seqlab.benchmark.clock import called_milliseconds, queued_milliseconds

Row = dict[str, Any]


def limits(device: torch.device) -> dict[str, float]:
    """The rates that floors are made of, and the milliseconds of the smallest
    operation there is, as called and queued."""
    number = torch.zeros(1, device=device)
    smallest = [lambda: number.add_(1)]
    return {
        "copy_bandwidth_bytes_per_s": copy_bandwidth(device),
        "arithmetic_rate_operations_per_s": arithmetic_rate(device),
        "smallest_called_milliseconds": called_milliseconds(smallest, device),
        "smallest_queued_milliseconds": queued_milliseconds(smallest, device),
    }


def copy_bandwidth(device: torch.device) -> float:
    """Bytes read plus bytes written per second by a copy far larger than any cache."""
    source = torch.ones(
        2**28 if device.type == "cuda" else 2**26, dtype=torch.float32, device=device
    )
    target = torch.empty_like(source)
    took = queued_milliseconds([lambda: target.copy_(source)], device)
    return 2 * source.nbytes / (1e-3 * took)


def arithmetic_rate(device: torch.device) -> float:
    """Multiplications plus additions per second of a large matrix product in float32,
    on a CPU by the threads in use."""
    n = 8192 if device.type == "cuda" else 1024
    generator = torch.Generator(device).manual_seed(0)
    matrix = torch.randn(n, n, dtype=torch.float32, generator=generator, device=device)
    product = torch.empty_like(matrix)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # no tf32
    try:
        took = queued_milliseconds(
            [lambda: torch.mm(matrix, matrix, out=product)], device
        )
    finally:
        torch.set_float32_matmul_precision(precision)
    return 2 * n**3 / (1e-3 * took)


def with_floor(row: Row, rates: dict[str, Any]) -> Row:
    """The row and the least time that it could have taken, with the limit that sets
    it."""
    times = {
        "bytes": row["fewest_bytes"] / rates["copy_bandwidth_bytes_per_s"],
        # The rate is float32's: half precision is computed in it, and float64 has
        # no higher peak on any device, so there this is a floor, if a low one.
        "arithmetic": row["fewest_operations"]
        / rates["arithmetic_rate_operations_per_s"],
    }
    floor = max(times, key=times.__getitem__)
    return {**row, "floor_milliseconds": 1e3 * times[floor], "floor": floor}
