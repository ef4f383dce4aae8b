"""The variant's file, made of the file that a source has: checked, and converted where ``model.toml`` says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from heliograph.adapters.models import efficientnet_lite, state_dicts
from heliograph.adapters.models.files import SourceFailed, checked
from heliograph.core import errors
from heliograph.core.models import SourceSpec, VariantSpec

SOURCE_MARGIN_BYTES = 1_000_000


def source_bytes(variant: VariantSpec, source: SourceSpec) -> int:
    """How many bytes the source's file may have; one that is converted has no known size of its own."""
    return variant.size_bytes if source.convert is None else 2 * variant.size_bytes + SOURCE_MARGIN_BYTES


def made_of(
    chunks: Iterable[bytes], variant: VariantSpec, source: SourceSpec, *, what: str
) -> Iterator[bytes]:
    """The bytes of the variant's file, made of those of the source's; ``what`` names the source's in messages.

    Raises:
        SourceFailed: the file or what was made of it is not the one that the catalogue names.
    """
    size, most = variant.size_bytes, source_bytes(variant, source)
    if source.convert is None:
        yield from checked(chunks, what=what, sha256=variant.sha256, size=size, most=most)
        return
    data = b"".join(checked(chunks, what=what, sha256=source.sha256, size=None, most=most))
    try:
        made = convert(source.convert, data)
    except errors.ModelInvalid as error:
        raise SourceFailed(f"{what}: {error.message}") from error
    yield from checked([made], what=f"the file made of {what}", sha256=variant.sha256, size=size, most=size)


def convert(name: str, data: bytes) -> bytes:
    """The file that the conversion ``name`` makes of ``data``.

    Raises:
        ModelInvalid: there is no such conversion, ``data`` is not what it takes, or a package is missing.
    """
    conversion = CONVERSIONS.get(name)
    if conversion is None:
        raise errors.ModelInvalid(f"There is no conversion {name!r}: known are {', '.join(CONVERSIONS)}.")
    return conversion(data)


def _efficientnet_lite0(data: bytes) -> bytes:
    return efficientnet_lite.convert(state_dicts.read_state_dict(data))


CONVERSIONS: Mapping[str, Callable[[bytes], bytes]] = {"efficientnet-lite0": _efficientnet_lite0}
