"""New writings of the same characters: a batch at a time, in NumPy.

Pictures are (n, 28, 28) float32 from 0 to 255, light on black, in every function; each
answers with pictures of the same shape and range, and leaves its argument alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import Float32Array

WHITE = np.float32(255.0)
KNOTS = 7
"""An elastic distortion moves 7 × 7 knots; the pixels between follow smoothly."""


def augment(pictures: Float32Array, rng: np.random.Generator) -> Float32Array:
    """The pictures as another hand, pen and scanner might have made them."""
    pictures = warp(pictures, rng)
    pictures = restroke(pictures, rng)
    pictures = cut_out(pictures, rng)
    return expose(pictures, rng)


def mix(
    pictures: Float32Array, targets: Float32Array, rng: np.random.Generator, *, alpha: float = 0.3
) -> tuple[Float32Array, Float32Array]:
    """Each picture blended with another one, and the targets (n, classes) likewise (mixup, arXiv:1710.09412)."""
    weight = rng.beta(alpha, alpha, len(pictures)).astype(np.float32)
    weight = np.maximum(weight, 1 - weight)
    other = rng.permutation(len(pictures))
    return (
        _blend(pictures[other], pictures, weight[:, None, None]),
        _blend(targets[other], targets, weight[:, None]),
    )


def warp(pictures: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Turned, scaled, sheared, moved and bent, in one resampling."""
    count, side = len(pictures), pictures.shape[1]
    angle = rng.uniform(-0.21, 0.21, count)
    shear = rng.uniform(-0.2, 0.2, count)
    scale = np.exp(rng.uniform(-0.15, 0.25, count) + rng.uniform(-0.1, 0.1, (2, count)))
    shift = rng.uniform(-2.5, 2.5, (2, count, 1, 1)).astype(np.float32)
    # The matrix leads from a pixel of the answer to its place in the picture: scale > 1 shrinks the sign.
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin + shear * cos], [sin, cos + shear * sin]]) * scale[:, None]
    a = matrix.astype(np.float32)[..., None, None]
    middle = np.float32((side - 1) / 2)
    y, x = np.mgrid[:side, :side].astype(np.float32) - middle
    bend_y, bend_x = _smooth_fields(2 * count, side, rng).reshape(2, count, side, side)
    rows = a[0, 0] * y + a[0, 1] * x + shift[0] + bend_y + middle
    columns = a[1, 0] * y + a[1, 1] * x + shift[1] + bend_x + middle
    return sample(pictures, rows, columns)


def sample(pictures: Float32Array, rows: Float32Array, columns: Float32Array) -> Float32Array:
    """The pictures read at (rows, columns), each (n, 28, 28), in pixels: bilinear, black outside."""
    count, side = len(pictures), pictures.shape[1]
    padded = np.pad(pictures, ((0, 0), (1, 2), (1, 2))).ravel()
    stride = side + 3
    rows, columns = (np.clip(axis + 1, 0, side + 1) for axis in (rows, columns))
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    down, right = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    corner = top * stride + left + (np.arange(count, dtype=np.int32) * stride**2)[:, None, None]
    upper = _blend(padded[corner], padded[corner + 1], right)
    lower = _blend(padded[corner + stride], padded[corner + stride + 1], right)
    return _blend(upper, lower, down)


def restroke(pictures: Float32Array, rng: np.random.Generator) -> Float32Array:
    """A third with a broader brush, a third with a finer one."""
    amount = rng.uniform(-1, 1, (len(pictures), 1, 1)).astype(np.float32)
    broader = np.clip(1.5 * amount - 0.5, 0, 1)
    finer = np.clip(-0.8 * amount - 0.3, 0, 1)
    neighbours = _neighbours(pictures)
    pictures = _blend(pictures, neighbours.max(axis=0), broader)
    return _blend(pictures, neighbours.min(axis=0), finer)


def expose(pictures: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Blurred a little or not, with another gamma, on darker paper (a lighter ground, here) and with noise."""
    shape = (len(pictures), 1, 1)
    blur = np.clip(rng.uniform(-0.5, 0.7, shape), 0, 1).astype(np.float32)
    gamma = np.exp(rng.uniform(-0.5, 0.5, shape)).astype(np.float32)
    ground = np.clip(rng.uniform(-160, 100, shape), 0, None).astype(np.float32)
    noise = np.clip(rng.uniform(-12, 12, shape), 0, None).astype(np.float32)
    pictures = _blend(pictures, _neighbours(pictures).mean(axis=0), blur)
    pictures = ground + (WHITE - ground) * (pictures / WHITE) ** gamma
    pictures = pictures + noise * rng.standard_normal(pictures.shape, np.float32)
    return np.clip(pictures, 0, WHITE)


def cut_out(pictures: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Half of them with a black rectangle of 4 to 10 pixels a side (cutout, arXiv:1708.04552)."""
    count, side = len(pictures), pictures.shape[1]
    height, width = rng.integers(4, 11, (2, count, 1, 1)) * (rng.random((count, 1, 1)) < 0.5)
    top, left = rng.integers(-4, side - 4, (2, count, 1, 1))
    y, x = np.mgrid[:side, :side]
    hole = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    return np.where(hole, np.float32(0), pictures)


def _blend(first: Float32Array, second: Float32Array, weight: Float32Array) -> Float32Array:
    return first + (second - first) * weight


def _neighbours(pictures: Float32Array) -> Float32Array:
    """(5, n, 28, 28): each pixel and the four beside it."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    middle = slice(1, -1)
    rows_columns = (
        (middle, middle),
        (slice(-2), middle),
        (slice(2, None), middle),
        (middle, slice(-2)),
        (middle, slice(2, None)),
    )
    return np.stack([padded[:, rows, columns] for rows, columns in rows_columns])


def _smooth_fields(count: int, side: int, rng: np.random.Generator) -> Float32Array:
    """(count, side, side) random displacements in pixels, each field of its own strength."""
    knots = rng.standard_normal((count, KNOTS, KNOTS), np.float32) * rng.uniform(
        0, 2.2, (count, 1, 1)
    ).astype(np.float32)
    basis = _spline_basis(side)
    return np.asarray(basis @ knots @ basis.T, dtype=np.float32)


def _spline_basis(side: int) -> npt.NDArray[np.float32]:
    """(side, KNOTS) weights of each knot at each pixel: cubic B-splines."""
    position = np.linspace(1, KNOTS - 2, side)
    distance = np.abs(position[:, None] - np.arange(KNOTS))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)
