"""The port `Imaging`, by OpenCV and Pillow."""

from __future__ import annotations

from heliograph.adapters.imaging import cutouts, plugins, reading, tensors
from heliograph.adapters.imaging.colours import Profiles
from heliograph.adapters.imaging.foreground import Foreground
from heliograph.core.models import Edges, InputSpec
from heliograph.core.pictures import Float32Array, Picture, PictureHeader, PictureLimits, UInt8Array
from heliograph.core.predictions import CutoutOptions, CutoutOutput


class PictureCodec:
    """Reads and writes picture files within limits; may be used by many threads at a time."""

    def __init__(self, limits: PictureLimits) -> None:
        plugins.settle()
        self._limits = limits
        self._profiles = Profiles()

    def inspect(self, data: bytes) -> PictureHeader:
        """See `Imaging.inspect`."""
        self._limits.check_bytes(len(data))
        header = reading.outline(data).header
        self._limits.check_size(header.width, header.height)
        return header

    def decode(
        self, data: bytes, header: PictureHeader, *, at_least: tuple[int, int] | None = None
    ) -> Picture:
        """See `Imaging.decode`."""
        rgb, alpha = reading.pixels(data, at_least=at_least, profiles=self._profiles)
        return Picture(header=header, rgb=rgb, alpha=alpha)

    def prepare(self, picture: Picture, spec: InputSpec) -> Float32Array:
        """See `Imaging.prepare`."""
        return tensors.prepare(picture, spec)

    def decode_size(self, header: PictureHeader, spec: InputSpec) -> tuple[int, int]:
        """See `Imaging.decode_size`."""
        return tensors.decode_size(header, spec)

    def cut_out(
        self, picture: Picture, matte: Float32Array, options: CutoutOptions, *, edges: Edges
    ) -> bytes:
        """See `Imaging.cut_out`."""
        canvas = [self._canvas(picture, matte, options, edges)]
        del picture  # where the caller has let go of it too, its pixels make room for the file
        return cutouts.encode(canvas.pop(), options.format)

    def _canvas(
        self, picture: Picture, matte: Float32Array, options: CutoutOptions, edges: Edges
    ) -> UInt8Array:
        """The pixels of the answer: grey, BGR or BGRA."""
        alpha = cutouts.opacity(picture, matte, edges)
        if options.output is CutoutOutput.MASK:
            return alpha
        colours = Foreground(picture, alpha) if options.decontaminate else picture.rgb
        if options.background is None:
            return cutouts.transparent(colours, alpha)
        background = options.background
        if isinstance(background, bytes):
            ground = self._background(background, width=alpha.shape[1], height=alpha.shape[0])
            return cutouts.composite(colours, alpha, ground)
        return cutouts.composite(colours, alpha, background)

    def _background(self, data: bytes, *, width: int, height: int) -> UInt8Array:
        """A background picture, scaled to cover what it is put behind."""
        header = self.inspect(data)
        scale = max(width / header.width, height / header.height)
        size = (round(header.width * scale), round(header.height * scale))
        picture = self.decode(data, header, at_least=size)
        rgb = picture.rgb if picture.alpha is None else tensors.on_white(picture.rgb, picture.alpha)
        return cutouts.covering(rgb, width, height)
