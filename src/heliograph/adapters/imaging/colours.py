"""Colours made sRGB, with ICC profiles where a file carries a useful one."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

Transform: TypeAlias = "ImageCmsTransform"

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
_MAX_PROFILE_BYTES = 4_000_000
_SAME_WITHIN = 2
_REMEMBERED = 32


class Profiles:
    """Makes the transforms from ICC profiles to sRGB and remembers the latest ones."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, str], Transform | None] = OrderedDict()
        self._lock = threading.Lock()

    def to_srgb(self, profile: bytes | None, mode: str) -> Transform | None:
        """What turns pixels of ``mode`` into sRGB.

        None where there is nothing to do: no profile, a broken one, one of another colour
        space than the pixels', or one that leaves colours where they are.
        """
        if profile is None or mode not in _SPACES or len(profile) > _MAX_PROFILE_BYTES:
            return None
        if profile[16:20].decode("latin-1") != _SPACES[mode]:
            return None
        key = (hashlib.sha256(profile).digest(), mode)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        transform = _build(profile, mode)
        with self._lock:
            self._known[key] = transform
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return transform


def from_lab() -> Transform:
    """What turns CIE L*a*b* pixels into sRGB."""
    cms = _cms()
    built = cms.buildTransform(cms.createProfile("LAB"), cms.createProfile("sRGB"), "LAB", "RGB")
    return cast("ImageCmsTransform", built)


def _cms() -> ModuleType:
    """Pillow's colour management, imported when the first profile comes."""
    return import_module("PIL.ImageCms")


def _build(profile: bytes, mode: str) -> Transform | None:
    cms = _cms()
    try:
        source = cms.ImageCmsProfile(BytesIO(profile))
        transform: Transform = cms.buildTransform(source, cms.createProfile("sRGB"), mode, "RGB")
        probe = _probe(mode)
        answer = transform.apply(probe)
    except (cms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode in {"CMYK", "LAB"}:
        return transform
    moved = np.asarray(answer, np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    return transform if np.abs(moved).max() > _SAME_WITHIN else None


def _probe(mode: str) -> Image.Image:
    """Colours from all over the cube (or all greys), to see whether a profile moves any."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    if mode != "RGB":
        return Image.new(mode, (1, 1))
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    return Image.fromarray(np.ascontiguousarray(cube.reshape(27, 27, 3)))
