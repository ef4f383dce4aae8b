"""The subject's own colours where it lets its old background through.

Blur fusion (M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021): the colours of the subject and of
the background around a place are means weighted by alpha; where the two in their shares do not give the colour that is
seen, the subject's is moved towards it. Once with a wide window, once with a narrow one.

With the subject's colour S and the background's B around a pixel, what is found for a pixel of colour I and alpha a is
``S + a (I - a S - (1 - a) B)``, which is ``a I + (1 - a) H`` with the *hidden* colour ``H = S + a (S - B)``. H changes
slowly, so it is made at a reduced size; the pixels themselves are only blended with it.
"""

from __future__ import annotations

import cv2
import numpy as np

from heliograph.core.pictures import Float32Array, Picture, UInt8Array

_SIDE = 192
"""Pixels of the longer side at which colours are looked for: means need no more."""
_COARSER = 4
"""How much smaller the picture is for the wide window."""
_WIDE, _NARROW = 11, 3
"""Sides of the two windows: a quarter of the picture, and nine pixels of one of 500."""
_TRUST = 1e-3
"""The weight of the next best guess, which decides where a window holds nothing of the subject, or nothing else."""
_UNSEEN = 3
"""Levels of alpha next to either end at which a hundredth of another colour is not seen."""
_STRIP, _GAP = 64, 64
"""Rows that are looked at together, and how many columns without work are skipped."""


class Foreground:
    """A picture whose partly transparent pixels show the subject alone; opaque ones stay as they are.

    Pixels with an opacity of their own in the picture stay too: nothing shows through their colours.

    Args:
        picture: the picture.
        alpha: (height, width), its opacity in the answer.
    """

    def __init__(self, picture: Picture, alpha: UInt8Array) -> None:
        self._picture = picture
        self._alpha = alpha
        self._step = -(-max(alpha.shape) // _SIDE)
        first = (self._step - 1) // 2
        sample = (slice(min(first, size - 1), None, self._step) for size in alpha.shape)
        places = tuple(sample)
        self._hidden = _hidden(picture.rgb[places], alpha[places])

    def __getitem__(self, rows: slice) -> UInt8Array:
        """Some rows in RGB; wholly transparent pixels have any colour."""
        rgb, alpha = self._picture.rgb[rows], self._alpha[rows]
        if self._picture.alpha is not None:
            alpha = np.where(self._picture.alpha[rows] == 255, alpha, np.uint8(255))
        mixed = cv2.inRange(alpha, _UNSEEN + 1, 254 - _UNSEEN)
        cleaned = rgb.copy()
        for top in range(0, alpha.shape[0], _STRIP):
            strip = slice(top, top + _STRIP)
            columns = np.flatnonzero(cv2.reduce(mixed[strip], 0, cv2.REDUCE_MAX))
            for run in np.split(columns, np.flatnonzero(np.diff(columns) > _GAP) + 1):
                if run.size:
                    part = (strip, slice(run[0], run[-1] + 1))
                    share = alpha[part] * np.float32(1 / 255)
                    hidden = self._enlarged(rows.start + top, int(run[0]), share.shape)
                    cleaned[part] = cv2.blendLinear(rgb[part], hidden, share, 1 - share)
        return cleaned

    def _enlarged(self, top: int, left: int, shape: tuple[int, ...]) -> UInt8Array:
        """The hidden colours of a part of the picture, interpolated between the places of the samples."""
        step, first = self._step, (self._step - 1) // 2
        inverse = np.array([[1 / step, 0, (left - first) / step], [0, 1 / step, (top - first) / step]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = cv2.warpAffine(
            self._hidden, inverse, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(part, np.uint8)


def _hidden(rgb: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """The colour that is blended in, for samples of the picture."""
    seen = rgb.astype(np.float32)
    share = np.asarray(cv2.cvtColor(alpha * np.float32(1 / 255), cv2.COLOR_GRAY2RGB), np.float32)
    rest = np.float32(1) - share
    subject, background = (_around(seen, weights) for weights in (share, rest))
    moved = share * seen + rest * _further(subject, background, share)
    narrow = _mean(moved, share, subject, _NARROW)
    return np.rint(_further(narrow, background, share)).astype(np.uint8)


def _around(seen: Float32Array, weights: Float32Array) -> Float32Array:
    """The weighted mean of a wide window around every place."""
    rows, columns = seen.shape[:2]
    size = (max(1, columns // _COARSER), max(1, rows // _COARSER))
    small, share = (
        np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), np.float32)
        for field in (seen, weights)
    )
    mean = _mean(small, share, small, _WIDE)
    return np.asarray(cv2.resize(mean, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _mean(colours: Float32Array, weights: Float32Array, guess: Float32Array, side: int) -> Float32Array:
    """The weighted mean of each window; ``guess`` where there is no weight."""
    trust = np.float32(_TRUST)
    total = cv2.blur(weights, (side, side)) + trust
    return np.asarray((cv2.blur(colours * weights, (side, side)) + trust * guess) / total, np.float32)


def _further(subject: Float32Array, background: Float32Array, share: Float32Array) -> Float32Array:
    """The subject's colour, moved away from the background's by a share of what lies between."""
    return np.clip(subject + share * (subject - background), 0, 255)
