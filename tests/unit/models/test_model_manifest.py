"""``model.toml`` → `ModelSpec`: what is read, and that every mistake names its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.adapters.models.catalogue import Catalogue, shipped_folder
from heliograph.adapters.models.manifest import read_package
from heliograph.adapters.models.manifest_text import manifest_text
from heliograph.core import errors
from heliograph.core.models import Channels, Edges, Interpolation, Meaning, SourceKind, Task
from tiny_packages import BUNDLED, CLASSIFIER, MODEL, SHA256, WEIGHTS, source, write_package


def test_package_becomes_spec(tmp_path: Path) -> None:
    package = write_package(
        tmp_path,
        more=source(
            "download", address="https://example.org/a", sha256="ab" * 32, convert="efficientnet-lite0"
        ),
    )
    (package / "README.md").write_text("# Tiny\n")
    spec = read_package(package)
    assert (spec.name, spec.task, spec.max_batch, spec.card) == (
        "tiny",
        Task.BACKGROUND_REMOVAL,
        4,
        "# Tiny\n",
    )
    assert spec.input.channels is Channels.RGB
    assert spec.input.interpolation is Interpolation.LINEAR
    assert spec.input.std == (255.0, 255.0, 255.0)
    assert (spec.output.meaning, spec.output.name) == (Meaning.MATTE, None)
    (variant,) = spec.variants
    assert (variant.file, variant.sha256, variant.size_bytes) == ("tiny.onnx", SHA256, len(WEIGHTS))
    assert variant.sources[0].kind is SourceKind.DOWNLOAD
    assert variant.sources[0].sha256 == "ab" * 32


def test_source_without_conversion_has_the_sha256_of_its_variant(tmp_path: Path) -> None:
    spec = read_package(
        write_package(tmp_path, more=BUNDLED + source("download", address="https://example.org/a"))
    )
    assert [s.sha256 for s in spec.variants[0].sources] == [SHA256, SHA256]


@pytest.mark.parametrize("edges", Edges)
def test_edges_are_read_and_written(tmp_path: Path, edges: Edges) -> None:
    package = write_package(tmp_path)
    manifest = package / "model.toml"
    assert read_package(package).output.edges is Edges.PLAIN
    manifest.write_text(manifest.read_text().replace('"matte"', f'"matte"\nedges = "{edges.value}"'))
    spec = read_package(package)
    assert spec.output.edges is edges
    manifest.write_text(manifest_text(spec))
    assert read_package(package).output == spec.output


def test_only_a_matte_has_edges(tmp_path: Path) -> None:
    package = write_package(tmp_path, CLASSIFIER)
    (package / "labels.txt").write_text("one\ntwo\n")
    manifest = package / "model.toml"
    manifest.write_text(manifest.read_text().replace("[output]", '[output]\nedges = "guided"'))
    with pytest.raises(errors.ModelInvalid, match=r"output\.edges is only for a matte"):
        read_package(package)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"matte"', '"matte"\nedges = "sharp"', "output.edges must be one of plain, guided"),
        ('version = "1"', 'version = "1"\ncolour = "red"', "colour is not a known key"),
        ('title = "Tiny"\n', "", "title is missing"),
        ('title = "Tiny"', 'title = "Ti\\u001bny"', "title has characters that cannot be printed"),
        ("format = 1", "format = 2", "format must be a whole number from 1 to 1"),
        ('"matte"', '"logits"', "output.meaning cannot be logits for background-removal"),
        ("width = 8", "width = 8.0", "input.width must be a whole number"),
        ("width = 8", "width = true", "input.width must be a whole number"),
        ("width = 8", "width = 100000", "input.width must be a whole number from 1 to 4,096"),
        ("width = 8", "width = 8\nsize = 8", "input.size is not a known key"),
        ("width = 8", "width = 8\ncrop = 0.5", 'input.crop is only for fit = "crop"'),
        ("width = 8", 'width = 8\nfit = "crop"\ncrop = 0.0', "input.crop must be from 0.01 to 1"),
        ("width = 8", 'width = 8\nchannels = "L"', "input.std must be a list of 1 number"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0, 0.0, nan]", "input.mean must be a finite number"),
        ("std = [255.0, 255.0, 255.0]", "std = [255.0, 0.0, 255.0]", "input.std must be above 0"),
        (
            'file = "tiny.onnx"',
            'file = "../tiny.onnx"',
            "variants[0].file is '../tiny.onnx', which is not allowed",
        ),
        ('file = "tiny.onnx"', 'file = ".hidden"', "variants[0].file is '.hidden', which is not allowed"),
        ('file = "tiny.onnx"', 'file = "model.toml"', "variants[0].file cannot be model.toml"),
        ('sha256 = "{sha256}"', 'sha256 = "ABC"', "variants[0].sha256 is 'ABC', which is not allowed here"),
        ("size_bytes = {size}", "size_bytes = 0", "variants[0].size_bytes must be a whole number"),
        (
            'precision = "fp32"',
            'precision = "fp 32"',
            "variants[0].precision is 'fp 32', which is not allowed",
        ),
        ('name = "{name}"', 'name = "other"', "name is 'other', but its folder is 'tiny'"),
        ('licence = "Apache-2.0"', "licence = ", "is not TOML"),
        ('licence = "Apache-2.0"', "licence = " + "[" * 20_000, "is not TOML"),
    ],
)
def test_mistake_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in MODEL
    package = write_package(tmp_path, MODEL.replace(old, new))
    with pytest.raises(errors.ModelInvalid) as caught:
        read_package(package)
    assert complaint in caught.value.message
    assert str(package / "model.toml") in caught.value.message


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (source("download", address="http://example.org/a"), "sources[0].address"),
        (source("download", address="file:///etc/passwd"), "sources[0].address"),
        (source("python-package", address="--index-url=x", member="a"), "sources[0].address"),
        (source("python-package", address="a>=1", member="a"), "sources[0].address"),
        (source("python-package", address="a==1", member="../a"), "sources[0].member"),
        (source("python-package", address="a==1", member="/etc/passwd"), "sources[0].member"),
        (source("download", address="https://example.org/a", sha256="0" * 64), "sources[0].sha256 must be"),
        (source("download", address="https://example.org/a", convert="x"), "sources[0].sha256 is missing"),
        (source("bundled", address="https://example.org/a"), "sources[0].address is not a known key"),
        (source("magic"), "sources[0].kind must be one of bundled, python-package, download"),
    ],
)
def test_unsafe_source_is_refused(tmp_path: Path, table: str, complaint: str) -> None:
    with pytest.raises(errors.ModelInvalid) as caught:
        read_package(write_package(tmp_path, more=table))
    assert complaint in caught.value.message


def test_variants_differ(tmp_path: Path) -> None:
    again = MODEL[MODEL.index("[[variants]]") :].format(sha256=SHA256, size=1)
    with pytest.raises(errors.ModelInvalid, match="precision of their own"):
        read_package(write_package(tmp_path, more=again))


def test_huge_manifest_is_not_read(tmp_path: Path) -> None:
    package = write_package(tmp_path, more="#" * 64_000)
    with pytest.raises(errors.ModelInvalid, match="more than 64,000 bytes"):
        read_package(package)


def test_labels_are_read(tmp_path: Path) -> None:
    package = write_package(tmp_path, CLASSIFIER)
    (package / "labels.txt").write_bytes("お\r\ncrane\r\ncrane\r\n".encode())
    assert read_package(package).labels == ("お", "crane", "crane")


@pytest.mark.parametrize("text", ["", "one\n", "one\n\nthree\n", "one\ntw\x00o\n", "one\n" + "x" * 201])
def test_bad_labels_are_refused(tmp_path: Path, text: str) -> None:
    package = write_package(tmp_path, CLASSIFIER)
    (package / "labels.txt").write_text(text)
    with pytest.raises(errors.ModelInvalid, match=r"labels\.txt"):
        read_package(package)


@pytest.mark.parametrize("file", ["model.toml", "README.md"])
def test_link_out_of_the_package_is_not_followed(tmp_path: Path, file: str) -> None:
    package = write_package(tmp_path)
    outside = tmp_path / "secret"
    outside.write_text("secret")
    (package / file).unlink(missing_ok=True)
    (package / file).symlink_to(outside)
    with pytest.raises(errors.ModelInvalid, match="in its package's folder") as caught:
        read_package(package)
    assert file in caught.value.message


def test_every_shipped_package_is_right() -> None:
    catalogue = shipped_folder()
    folders = sorted(path.name for path in catalogue.iterdir() if path.is_dir())
    assert {"efficientnet-lite0", "u2net", "u2netp"} <= set(folders)
    for name in folders:
        spec = read_package(catalogue / name)
        assert spec.card.startswith("# ")
    assert [package.spec.name for package in Catalogue(catalogue).packages()] == folders


def test_shipped_labels_of_imagenet() -> None:
    labels = read_package(shipped_folder() / "efficientnet-lite0").labels
    assert len(labels) == 1000
    assert (labels[0], labels[2], labels[999]) == ("tench", "great white shark", "toilet tissue")
