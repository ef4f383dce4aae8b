"""The edges of cut-outs: how near they come to masks that people made, what colours they have, and what they cost.

    python benchmarks/edges.py folder --model u2netp

The folder has pictures with masks beside them (NAME.jpg and NAME.png, or NAME.mask.png). Each picture's matte is
brought to its size in both ways and compared with the mask. For the colours each picture's subject is laid on another
picture of the folder with its mask, softened, as alpha: then the true colour of each pixel is known, and
`decontaminate` gets this alpha. Its error is that of the answer on white, in levels of 255, over the pixels that are
partly transparent.
Times are processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from heliograph.adapters.imaging import cutouts
from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.adapters.imaging.foreground import Foreground
from heliograph.adapters.imaging.scoring import score
from heliograph.bootstrap.parts import load_direct
from heliograph.core.models import Edges
from heliograph.core.pictures import Picture, PictureHeader, PictureLimits, UInt8Array
from heliograph.core.predictions import PictureFormat
from heliograph.core.scores import mean_score
from heliograph.settings import read_settings
from heliograph.training.background_removal.evaluate import pairs, read_grey

Matte = NDArray[np.float32]
Result = TypeVar("Result")
SIZES = ((500, 375), (4000, 3000))
WHITE = (255, 255, 255)
SOFTENING = 2.0
"""Pixels of the Gaussian that turns a mask, made six pixels narrower, into an alpha that ends within the subject."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture, what people say is its subject, and what the model says."""

    picture: Picture
    mask: UInt8Array
    matte: Matte


def picture_of(rgb: UInt8Array) -> Picture:
    """Pixels as a picture."""
    return Picture(header=PictureHeader(format="pixels", width=rgb.shape[1], height=rgb.shape[0]), rgb=rgb)


def decontaminated(picture: Picture, alpha: UInt8Array) -> UInt8Array:
    """The cut-out with the subject's own colours."""
    return cutouts.transparent(Foreground(picture, alpha), alpha)


def timed(work: Callable[[], Result], rounds: int = 1) -> tuple[float, Result]:
    """The fewest milliseconds of processor time, and what came out."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        result = work()
        best = min(best, 1000 * (time.process_time() - started))
    return best, result


def compare_edges(samples: Sequence[Sample]) -> None:
    """Prints the scores of both ways."""
    for how in Edges:
        scores, spent = [], []
        for sample in samples:
            milliseconds, alpha = timed(partial(cutouts.opacity, sample.picture, sample.matte, how))
            scores.append(score(alpha, sample.mask))
            spent.append(milliseconds)
        mean = mean_score(scores)
        print(
            f"{how.value:>8}  IoU {mean.iou:.4f}  boundary F {mean.boundary_f:.4f}  MAE {mean.mae:.4f}  "
            f"{np.mean(spent):.1f} ms a picture",
            flush=True,
        )


def compare_colours(samples: Sequence[Sample]) -> None:
    """Prints how far colours are from the truth, with and without the old background taken out of them."""
    errors: list[tuple[float, float]] = []
    for sample, other in zip(samples, [*samples[1:], samples[0]], strict=True):
        truth = sample.picture.rgb
        height, width = truth.shape[:2]
        inner = cv2.erode(sample.mask, np.ones((13, 13), np.uint8), borderType=cv2.BORDER_REPLICATE)
        alpha = np.asarray(cv2.GaussianBlur(inner, (0, 0), SOFTENING), np.uint8)
        ground = cutouts.covering(other.picture.rgb, width, height)
        laid = picture_of(np.ascontiguousarray(cutouts.composite(truth, alpha, ground)[..., ::-1]))
        edge = (alpha > 0) & (alpha < 255)
        if edge.any():
            wanted = cutouts.composite(truth, alpha, WHITE)[edge].astype(int)
            answers = (
                cutouts.composite(how, alpha, WHITE)[edge] for how in (laid.rgb, Foreground(laid, alpha))
            )
            as_seen, estimated = (float(np.abs(answer - wanted).mean()) for answer in answers)
            errors.append((as_seen, estimated))
    as_seen, estimated = np.mean(errors, axis=0)
    print(f"colours   error {as_seen:.1f} as seen, {estimated:.1f} with decontaminate (levels, at the edge)")


def compare_costs(sample: Sample, rounds: int) -> None:
    """Prints what each step costs at two sizes."""
    for width, height in SIZES:
        large = cv2.resize(sample.picture.rgb, (width, height), interpolation=cv2.INTER_CUBIC)
        picture = picture_of(np.asarray(large, np.uint8))
        for how in Edges:
            resized, alpha = timed(partial(cutouts.opacity, picture, sample.matte, how), rounds)
            mixed, pixels = timed(partial(cutouts.transparent, picture.rgb, alpha), rounds)
            clean, _ = timed(partial(decontaminated, picture, alpha), rounds)
            encoded, _ = timed(partial(cutouts.encode, pixels, PictureFormat.PNG), rounds)
            print(
                f"{width} × {height}  {how.value:>7}: alpha {resized:.1f} ms  cut-out {mixed:.1f} ms, decontaminated "
                f"{clean:.1f} ms  PNG {encoded:.1f} ms",
                flush=True,
            )


def main() -> None:
    """Judges the edges of one model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="u2netp")
    parser.add_argument("--most", type=int, default=100, help="pictures at most")
    parser.add_argument("--rounds", type=int, default=7, help="of which the fastest counts")
    chosen = parser.parse_args()
    codec = PictureCodec(PictureLimits())
    samples = []
    with load_direct(chosen.model, read_settings()) as model:
        for path, mask in pairs(chosen.folder)[: chosen.most]:
            data = path.read_bytes()
            picture = codec.decode(data, codec.inspect(data))
            samples.append(Sample(picture, read_grey(mask), model.matte(picture)))
    print(f"{len(samples)} pictures of {chosen.folder}, {chosen.model}")
    compare_edges(samples)
    compare_colours(samples)
    compare_costs(samples[0], chosen.rounds)


if __name__ == "__main__":
    main()
