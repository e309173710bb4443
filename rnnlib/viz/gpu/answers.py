"""Instant answers to the exercises of lesson 23: each tries what a learner wrote and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnlib.studies.precision import FORMATS, LossScale, rounded


def intensity(of: Callable[[int, int, int], float]) -> str:
    """Whether (N, H, G) -> flop for each byte is that of h (N, H) times W (H, G H), in float32."""
    for N, H, G in ((1, 64, 4), (16, 64, 4), (64, 256, 3)):
        flops, numbers = 2 * N * H * G * H, (N * H, H * G * H, N * G * H)
        right, mine = flops / (4 * sum(numbers)), float(of(N, H, G))
        if np.isclose(mine, right):
            continue
        if np.isclose(mine, 4 * right):
            return "Not yet: that is flop for each *number*. A number of float32 has 4 bytes."
        if np.isclose(mine, right / 2):
            return "Not yet: each of its terms is a product *and* a sum, two flop."
        if np.isclose(mine, flops / (4 * numbers[1])):
            return "Not yet: right for the weights. But h is read and the result is written, too."
        return f"Not yet: N = {N}, H = {H}, G = {G} has {right:.4g} flop a byte, and this says {mine:.4g}."
    return "Right. With few rows nearly all bytes are weights, and each is used for N products and sums only."


def nearest(of: Callable[[np.ndarray], np.ndarray]) -> str:
    """Whether float32 numbers become the nearest bfloat16, a tie the even one."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=4000) * 2.0 ** rng.integers(-30, 30, 4000)).astype(np.float32)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 1 + 2**-8 + 2**-20], np.float32)
    for name, numbers in (("most numbers", x), ("ties", ties)):
        given = numbers.copy()
        mine, right = np.asarray(of(given)), rounded(numbers, FORMATS["bfloat16"]).astype(np.float32)
        if not np.array_equal(given, numbers):
            return "Not yet: the array that was given has changed. Work on a copy."
        if mine.shape != right.shape:
            return f"Not yet: it gives the shape {mine.shape} for {right.shape}."
        if np.array_equal(mine, right):
            continue
        off = np.abs(np.asarray(mine, np.float64) - numbers) > np.abs(right.astype(np.float64) - numbers)
        if name == "ties" and not off.any():
            return "Not yet: right but for ties. 1 + 2⁻⁸ lies in the middle of two: take the one that ends in 0."
        k = int(np.argmax(mine != right))
        return f"Not yet: {numbers[k]:.9g} became {mine[k]:.9g}; the nearest bfloat16 is {right[k]:.9g}."
    return "Right, ties too."


def loss_scale(of: Callable[[float, int, bool, int], tuple[float, int]]) -> str:
    """Whether (scale, good, finite, wait) -> (scale, good) is the rule of a dynamic loss scale."""
    script = [True, True, True, False, True, True, False, False, True, True, True, True, True, True]
    right, mine = LossScale(1024.0, 3), (1024.0, 0)
    for t, finite in enumerate(script):
        scale, good = of(*mine, finite, 3)  # a list will do
        mine = scale, good
        right.take(finite)
        if mine == (right.scale, right.good):
            continue
        seen = "".join("." if ok else "x" for ok in script[: t + 1])
        hint = {
            True: "Three good steps double the scale, and then the count begins anew.",
            False: "An overflow halves the scale, and the good steps before it no longer count.",
        }[finite]
        return (
            f"Not yet: after the steps {seen} (x: overflow) expected the scale {right.scale:g} and {right.good} good "
            f"steps, got {mine[0]:g} and {mine[1]}. {hint}"
        )
    return "Right."


def budget(of: Callable[[int, int, float, float], tuple[int, int]]) -> str:
    """Whether (rows, T, bytes a token, limit in bytes) -> (rows of a part, parts) fits with as few parts as can be."""
    for rows, T, each, limit in ((64, 100, 1000.0, 2e6), (64, 100, 1000.0, 1e9), (60, 50, 2000.0, 1.4e6)):
        most = int(limit // (T * each))
        parts = -(-rows // most)
        asked = f"{rows} rows of {T} steps at {each:,.0f} bytes a token, and {limit:,.0f} bytes"
        mine, count = of(rows, T, each, limit)
        if mine != int(mine) or count != int(count):
            return f"Not yet: for {asked}, {mine} rows and {count} parts are no whole numbers."
        if mine > rows:
            return f"Not yet: for {asked}, a part of {mine} rows has more rows than there are."
        if mine * T * each > limit:
            return f"Not yet: for {asked}, {mine} rows take {mine * T * each:,.0f}."
        if mine * count < rows:
            return f"Not yet: for {asked}, {count} parts of {mine} rows leave {rows - mine * count} rows out."
        if count > parts:
            return f"Not yet: for {asked}, {count} parts work, and {parts} would."
    return "Right. As few parts as can be: each has its launches to pay."
