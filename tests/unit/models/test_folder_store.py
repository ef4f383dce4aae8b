"""`FolderStore` without a network: where files are found, checked, kept and removed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from heliograph.adapters.models import files
from heliograph.adapters.models.store import FolderStore
from heliograph.core import errors
from tiny_packages import BUNDLED, MODEL, SHA256, WEIGHTS, source, write_package

WRONG = WEIGHTS[:-1] + b"!"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    write_package(tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path, shipped: Path, mirror: Path) -> FolderStore:
    return FolderStore(tmp_path / "store", [tmp_path / "missing", mirror], shipped=shipped)


def test_unknown_names(store: FolderStore) -> None:
    for reference in ("other", "tiny-int8", "tiny-", "../tiny", "Tiny", "", "a" * 65):
        with pytest.raises(errors.ModelUnknown):
            store.find(reference)


def test_missing_weights_name_the_command(store: FolderStore, shipped: Path) -> None:
    with (shipped / "tiny" / "model.toml").open("a") as stream:
        stream.write(source("download", address="https://example.org/tiny.onnx"))
    with pytest.raises(errors.ModelUnavailable) as caught:
        store.find("tiny")
    assert caught.value.message == (
        "The weights of tiny are not on this machine: run `heliograph models pull tiny`, "
        "or put tiny.onnx into a folder that HELIOGRAPH_MODEL_MIRRORS names."
    )
    assert store.list()[0].present == ()


@pytest.mark.parametrize("place", ["tiny.onnx", "tiny/tiny.onnx"])
def test_mirror_is_used_in_place(store: FolderStore, mirror: Path, tmp_path: Path, place: str) -> None:
    (mirror / place).parent.mkdir(exist_ok=True)
    (mirror / place).write_bytes(WEIGHTS)
    for reference in ("tiny", "tiny-fp32"):
        found = store.find(reference)
        assert (found.path, found.variant.precision, found.spec.name) == (mirror / place, "fp32", "tiny")
    assert store.list()[0].present == ("fp32",)
    assert not (tmp_path / "store").exists()


def test_pull_keeps_the_file_of_a_mirror(store: FolderStore, mirror: Path, tmp_path: Path) -> None:
    (mirror / "tiny.onnx").write_bytes(WEIGHTS)
    seen: list[tuple[int, int]] = []
    pulled = store.pull("tiny", lambda done, total: seen.append((done, total)))
    assert pulled.path == tmp_path / "store" / "tiny" / "tiny.onnx"
    assert pulled.path.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    (mirror / "tiny.onnx").unlink()
    assert store.find("tiny").path == pulled.path


def test_pull_clears_what_a_killed_process_left(store: FolderStore, mirror: Path, tmp_path: Path) -> None:
    (mirror / "tiny.onnx").write_bytes(WEIGHTS)
    folder = tmp_path / "store" / "tiny"
    folder.mkdir(parents=True)
    (folder / ".tiny.onnx.abc.part").write_bytes(b"half")
    store.pull("tiny")
    assert sorted(path.name for path in folder.iterdir()) == [".tiny.onnx.lock", "tiny.onnx"]


def test_wrong_file_in_a_mirror_is_skipped_with_its_reason(store: FolderStore, mirror: Path) -> None:
    (mirror / "tiny.onnx").write_bytes(WRONG)
    with pytest.raises(errors.ModelUnavailable, match="another sha256") as caught:
        store.find("tiny")
    assert "\n" not in caught.value.message
    (mirror / "tiny.onnx").write_bytes(WEIGHTS + b"more")
    with pytest.raises(errors.ModelUnavailable, match=f"bytes instead of {len(WEIGHTS):,}"):
        store.pull("tiny")


def test_only_regular_files_are_opened(store: FolderStore, mirror: Path, tmp_path: Path) -> None:
    path = mirror / "tiny.onnx"
    os.mkfifo(path)
    with pytest.raises(errors.ModelUnavailable, match="not a file"):
        store.find("tiny")
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.ModelUnavailable, match="not a file"):
        store.find("tiny")
    path.rmdir()
    path.symlink_to("/dev/zero")
    with pytest.raises(errors.ModelUnavailable, match="not a file"):
        store.find("tiny")
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(errors.ModelUnavailable):
        store.find("tiny")
    path.unlink()
    # A link is as good as a file: the sha256 says what it is, wherever it lies.
    (tmp_path / "elsewhere").write_bytes(WEIGHTS)
    path.symlink_to(tmp_path / "elsewhere")
    assert store.find("tiny").path == path


def test_file_that_grows_is_not_read_forever(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    read = 0
    for chunk in files.read_chunks(path, most=10):
        read += len(chunk)
        with path.open("ab") as stream:
            stream.write(b"x" * 1_000)
    assert read <= 11


def test_changed_file_is_checked_again(store: FolderStore, mirror: Path) -> None:
    path = mirror / "tiny.onnx"
    path.write_bytes(WEIGHTS)
    store.find("tiny")
    path.write_bytes(WRONG)
    with pytest.raises(errors.ModelUnavailable):
        store.find("tiny")


def test_damaged_file_in_the_store_is_reported_and_replaced(
    store: FolderStore, mirror: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "store" / "tiny" / "tiny.onnx"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(WRONG)
    with pytest.raises(errors.ModelInvalid, match="heliograph models pull tiny") as caught:
        store.find("tiny")
    assert str(kept) in caught.value.message
    (mirror / "tiny.onnx").write_bytes(WEIGHTS)
    assert store.find("tiny").path == mirror / "tiny.onnx"
    assert store.pull("tiny").path == kept
    assert kept.read_bytes() == WEIGHTS


def test_bundled_weights_are_used_and_not_removed(tmp_path: Path) -> None:
    package = write_package(tmp_path / "shipped", more=BUNDLED)
    (package / "tiny.onnx").write_bytes(WEIGHTS)
    store = FolderStore(tmp_path / "store", shipped=tmp_path / "shipped")
    assert store.find("tiny").path == store.pull("tiny").path == package / "tiny.onnx"
    with pytest.raises(errors.ModelError, match="ship with Heliograph"):
        store.remove("tiny")
    assert (package / "tiny.onnx").exists()


def test_remove_frees_what_was_pulled(store: FolderStore, mirror: Path, tmp_path: Path) -> None:
    (mirror / "tiny.onnx").write_bytes(WEIGHTS)
    store.pull("tiny")
    assert store.remove("tiny") == len(WEIGHTS)
    assert list((tmp_path / "store" / "tiny").iterdir()) == []
    assert store.remove("tiny") == 0
    assert (mirror / "tiny.onnx").exists()


def test_package_in_the_store_hides_the_shipped_one_and_goes_whole(tmp_path: Path, shipped: Path) -> None:
    package = write_package(tmp_path / "store", MODEL.replace('"Tiny"', '"My own"'))
    (package / "tiny.onnx").write_bytes(WEIGHTS)
    store = FolderStore(tmp_path / "store", shipped=shipped)
    assert store.spec("tiny").title == "My own"
    assert store.find("tiny").path == package / "tiny.onnx"
    assert store.remove("tiny") >= len(WEIGHTS)
    assert not package.exists()
    assert store.spec("tiny").title == "Tiny"


def test_broken_packages_and_half_ones_can_be_removed(store: FolderStore, tmp_path: Path) -> None:
    for name, file in (("broken", "model.toml"), ("half", "half.onnx"), ("tiny", "model.toml")):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / file).write_text("= not TOML")
        assert store.remove(name) == 10
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "store" / "photographs" / "2024").mkdir(parents=True)
    with pytest.raises(errors.ModelError, match="so it is no model; remove it by hand"):
        store.remove("photographs")
    for reference in ("../shipped", "gone"):
        with pytest.raises(errors.ModelUnknown):
            store.remove(reference)


def test_linked_package_is_not_removed(tmp_path: Path, shipped: Path) -> None:
    write_package(tmp_path / "elsewhere")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "tiny").symlink_to(tmp_path / "elsewhere" / "tiny")
    with pytest.raises(errors.ModelError, match="remove it by hand"):
        FolderStore(tmp_path / "store", shipped=shipped).remove("tiny")
    assert (tmp_path / "elsewhere" / "tiny" / "model.toml").exists()


def test_name_with_hyphen_is_a_model_before_it_is_a_variant(tmp_path: Path) -> None:
    write_package(tmp_path / "shipped")
    write_package(tmp_path / "shipped", name="tiny-fp32")
    store = FolderStore(tmp_path / "store", shipped=tmp_path / "shipped")
    assert store.spec("tiny-fp32").name == "tiny-fp32"
    assert store.spec("tiny-fp32-fp32").name == "tiny-fp32"
    assert store.spec("tiny").name == "tiny"


def test_first_variant_that_is_present(tmp_path: Path, mirror: Path) -> None:
    more = f'\n[[variants]]\nprecision = "fp16"\nfile = "half.onnx"\nsha256 = "{SHA256}"\nsize_bytes = {len(WEIGHTS)}\n'
    write_package(tmp_path / "shipped", more=more)
    store = FolderStore(tmp_path / "store", [mirror], shipped=tmp_path / "shipped")
    (mirror / "half.onnx").write_bytes(WEIGHTS)
    assert store.find("tiny").variant.precision == "fp16"
    with pytest.raises(errors.ModelUnavailable):
        store.find("tiny-fp32")
    (mirror / "tiny.onnx").write_bytes(WEIGHTS)
    assert store.find("tiny").variant.precision == "fp32"
    assert store.find("tiny-fp16").variant.precision == "fp16"


def test_broken_package_does_not_hide_the_others(
    store: FolderStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "store" / "broken"
    broken.mkdir(parents=True)
    (broken / "model.toml").write_text("colour = 'red'")
    (tmp_path / "store" / "Not A Name").mkdir()
    assert [status.spec.name for status in store.list()] == ["tiny"]
    assert "broken/model.toml" in caplog.text
    with pytest.raises(errors.ModelInvalid, match=r"broken/model\.toml"):
        store.spec("broken")


def test_store_that_cannot_be_written(tmp_path: Path, shipped: Path, mirror: Path) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    (mirror / "tiny.onnx").write_bytes(WEIGHTS)
    store = FolderStore(tmp_path / "store", [mirror], shipped=shipped)
    assert store.find("tiny").path == mirror / "tiny.onnx"
    with pytest.raises(errors.ModelUnavailable, match="HELIOGRAPH_MODEL_DIR must name a folder"):
        store.pull("tiny")


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def chunks() -> list[bytes]:
        return [b"new", *files.checked([b"wrong"], what="x", sha256=SHA256, size=None, most=99)]

    with pytest.raises(files.SourceFailed):
        files.write_whole(target, (chunk for make in (chunks,) for chunk in make()), size=8)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_bytes() == b"old"


def test_what_is_in_the_store_has_marks_that_change_with_it(store: FolderStore, tmp_path: Path) -> None:
    assert store.own() == {}
    package = write_package(tmp_path / "store")
    (tmp_path / "store" / "no-package").write_text("")
    (before,) = store.own().values()
    (package / "model.toml").rename(package / "old.toml")
    assert store.own() == {}
    (package / "model.toml").write_text(MODEL)
    assert list(store.own()) == ["tiny"]
    assert store.own()["tiny"] != before


def test_a_package_has_another_mark_once_any_file_of_it_is_another(
    store: FolderStore, tmp_path: Path
) -> None:
    package = write_package(tmp_path / "store")
    marks = [store.own()["tiny"]]
    for change in (
        lambda: (package / "labels.txt").write_text("one"),
        lambda: (package / "tiny.onnx").write_bytes(WEIGHTS[:9]),
        lambda: (package / "tiny.onnx").write_bytes(WEIGHTS),
        (package / "labels.txt").unlink,
    ):
        change()
        marks.append(store.own()["tiny"])
    assert len(set(marks)) == len(marks)
    (package / ".tiny.onnx.lock").write_text("")
    (package / "leads-nowhere").symlink_to("nothing")
    assert store.own()["tiny"] == marks[-1]


@pytest.mark.parametrize("place", ["store/tiny", "shipped/tiny", "mirror", "mirror/tiny"])
def test_weights_that_come_change_the_mark_wherever_they_lie(
    store: FolderStore, shipped: Path, tmp_path: Path, place: str
) -> None:
    with (shipped / "tiny" / "model.toml").open("a") as stream:
        stream.write(BUNDLED)
    before = store.mark("tiny")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    assert store.mark("tiny") == store.mark("tiny-fp32") == before
    (tmp_path / place / "tiny.onnx").write_bytes(WEIGHTS)
    assert store.mark("tiny") == store.mark("tiny-fp32") != before
    with pytest.raises(errors.ModelUnknown):
        store.mark("other")


@pytest.mark.parametrize("call", ["iterdir", "stat"])
def test_a_store_that_does_not_answer_is_not_taken_for_an_empty_one(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_package(tmp_path / "store")

    def fail(path: Path) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Path, call, fail)
    with pytest.raises(OSError, match="Stale"):
        store.own()
