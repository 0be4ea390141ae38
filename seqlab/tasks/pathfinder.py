"""Two dots among dashed curves: does one curve join them? Pathfinder."""

from dataclasses import dataclass

import numpy as np

from seqlab.tasks.synthetic import Drawn
from seqlab.tasks.task import check_at_least

DASH, GAP = 2.0, 1.0  # pixels along a curve
LINE_WIDTH, DOT_RADIUS = 0.5, 1.5
CLEARANCE = 2.0  # between a dash and every other one but its neighbors
BORDER = 1.5  # around the picture, free of ends
STEEPEST = np.pi / 3  # the largest turn between two dashes
ALIKE = 1.0  # distances of dots that differ by less
TRIES = 12  # before a curve, or the next dash, is given up


def pathfinder(
    side: int = 32, dashes: int = 14, distractors: int = 5, seed: int = 0
) -> Drawn:
    """Two dots lie on the ends of dashed curves: are they the two ends of one curve?

    After Linsley et al. (2018, arXiv 1805.08315) and the Long Range Arena (Tay et al.,
    2021, arXiv 2011.04006), with a generator of our own: two long curves and some short
    ones, each of dashes that turn a little from one to the next, none close to another.
    One dot marks an end of one of the long curves, the other dot the other end of the
    same curve, or an end of the other curve, with equal probability.

    inputs (B, side * side, 1) are grey levels in [0, 1], row by row; targets (B,) are 1
    where the dots are joined, else 0. Images are drawn anew for every batch, one in some
    30 ms. Where the dots lie tells next to nothing: joined pairs are as far apart as
    others.

    Args:
        side: pixels of a row and of a column, at least 16.
        dashes: of each long curve, at least 2; 14 is the benchmark's "hard", 9 its
            "intermediate".
        distractors: short curves, of a third as many dashes, at least 0.
        seed: selects the test images.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("side", side, 16)
    check_at_least("dashes", dashes, 2)
    check_at_least("distractors", distractors, 0)

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = [picture(random, side, dashes, distractors) for _ in range(count)]
        images = np.stack([each.pixels.reshape(-1, 1) for each in drawn])
        return images, np.array([int(each.joined) for each in drawn])

    return Drawn(
        name=f"Pathfinder {side}x{side}",
        length=side * side,
        inputs=1,
        outputs=2,
        pool=True,
        classification=True,
        chance=0.5,
        draw=draw,
        seed=seed,
    )


@dataclass(frozen=True)
class Picture:
    """A drawn image.

    Attributes:
        pixels: (side, side) in [0, 1].
        dots: (2, 2), the places of the two dots, row and column.
        joined: whether they are the ends of one curve.
        curves: the two long ones, then the short ones: dashes (dashes, 2, 2), each from one
            end to the other, one after another.
    """

    pixels: np.ndarray
    dots: np.ndarray
    joined: bool
    curves: list[np.ndarray]


def picture(
    random: np.random.Generator, side: int = 32, dashes: int = 14, distractors: int = 5
) -> Picture:
    """One image; arguments as in `pathfinder`."""
    short = max(2, dashes // 3)
    while True:
        curves: list[np.ndarray] = []
        ends: tuple[np.ndarray, np.ndarray] | None = None
        for length in [dashes] * 2 + [short] * distractors:
            curve = _curve(random, side, length, curves)
            if curve is None:
                break
            curves.append(curve)
            if len(curves) == 2:
                ends = _equally_far(random, *curves)
                if ends is None:
                    break
        if ends is not None and len(curves) == 2 + distractors:
            joined = bool(random.integers(2))
            dots = ends[0 if joined else 1]
            return Picture(_paint(side, curves, dots), dots, joined, curves)


def _curve(
    random: np.random.Generator, side: int, length: int, others: list[np.ndarray]
) -> np.ndarray | None:
    """Dashes (length, 2, 2) that keep clear of the border, of one another and of other
    curves; None where that did not succeed."""
    taken = np.concatenate([_points(curve) for curve in others] or [np.empty((0, 2))])
    for _ in range(TRIES):
        end = random.uniform(BORDER, side - BORDER, 2)
        angle = random.uniform(0, 2 * np.pi)
        curve: list[np.ndarray] = []
        while len(curve) < length:
            own = _points(np.array(curve[:-1])) if len(curve) > 1 else taken[:0]
            found = _next(random, side, end, angle, np.concatenate([taken, own]))
            if found is None:
                break
            dash, angle = found
            curve.append(dash)
            end = dash[1]
        else:
            return np.array(curve)
    return None


def _next(
    random: np.random.Generator,
    side: int,
    end: np.ndarray,
    angle: float,
    taken: np.ndarray,
) -> tuple[np.ndarray, float] | None:
    """A dash that goes on from an end, and its direction."""
    angles = angle + random.uniform(-STEEPEST, STEEPEST, TRIES)
    ways = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    points = end + np.multiply.outer((GAP, GAP + DASH / 2, GAP + DASH), ways)
    inside = (np.abs(points - side / 2) < side / 2 - BORDER).all((0, 2))
    clear = (_distance(points, taken).min(-1, initial=side) > CLEARANCE).all(0)
    good = np.flatnonzero(inside & clear)
    return (points[[0, 2], good[0]], angles[good[0]]) if len(good) else None


def _equally_far(
    random: np.random.Generator, *curves: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Both ends of one of two curves, and an end of each, about as far apart, so that the
    distance of the dots does not tell; None where there are no such ends."""
    one, other = (curves[k][[0, -1], [0, 1]] for k in random.permutation(2))
    distance = np.linalg.norm(one[0] - one[1])
    difference = np.abs(_distance(one, other) - distance)
    if difference.min() > ALIKE:
        return None
    i, j = np.unravel_index(difference.argmin(), difference.shape)
    order = random.permutation(2)
    return one[order], np.stack([one[i], other[j]])[order]


def _points(curve: np.ndarray) -> np.ndarray:
    """Both ends and the middle of each dash, (3 dashes, 2)."""
    return np.concatenate([curve[:, 0], curve.mean(1), curve[:, 1]])


def _distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Of all points p (..., 2) and q (n, 2), (..., n)."""
    return np.linalg.norm(p[..., None, :] - q, axis=-1)


def _paint(side: int, curves: list[np.ndarray], dots: np.ndarray) -> np.ndarray:
    """Grey levels (side, side), edges softened over a pixel."""
    row, column = np.indices((side, side)) + 0.5
    pixels = np.stack([row.ravel(), column.ravel()], axis=-1)
    start, end = np.concatenate(curves).swapaxes(0, 1)
    along = ((pixels[:, None] - start) * (end - start)).sum(-1) / DASH**2
    nearest = start + np.clip(along, 0, 1)[..., None] * (end - start)
    to_line = np.linalg.norm(pixels[:, None] - nearest, axis=-1).min(1)
    to_dot = _distance(pixels, dots).min(1)
    ink = np.maximum(LINE_WIDTH / 2 - to_line, DOT_RADIUS - to_dot)
    return np.clip(ink + 0.5, 0, 1).reshape(side, side)
