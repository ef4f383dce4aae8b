"""What every blob store promises, and what a folder does when its disk does not play along."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from blob_trials import blob_files
from heliograph.adapters.blobs.folder import MARK, FolderBlobs
from heliograph.core import errors
from heliograph.core.blobs import BlobKind, BlobName, BlobStore
from service import wait_for

PICTURE = bytes(range(256)) * 40
HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> FolderBlobs:
    blobs = FolderBlobs(tmp_path, "tried")
    blobs.prepare()
    return blobs


def payload(job_id: str = "job-1") -> BlobName:
    return BlobName(job_id=job_id, kind=BlobKind.PAYLOAD)


def result(job_id: str = "job-1", version: str = "a1b2") -> BlobName:
    return BlobName(job_id=job_id, kind=BlobKind.RESULT, version=version)


def found(store: BlobStore, older_than_seconds: float = -1.0) -> list[BlobName]:
    """Names of all that are older, from all pages."""
    names: list[BlobName] = []
    cursor = ""
    while True:
        page = store.page(cursor, older_than_seconds=older_than_seconds)
        names += [blob.name for blob in page.blobs]
        cursor = page.next_cursor
        if not cursor:
            return names


def uses(store: BlobStore) -> Sequence[Callable[[], object]]:
    """Calls that need a store which is there; those for bytes ask for some that are not."""
    return (
        store.check,
        lambda: store.put(result("job-2"), b"1"),
        lambda: store.get(payload("job-2")),
        lambda: store.page("", older_than_seconds=0.0),
    )


# Every store


def test_what_is_kept_is_there_for_others(store: FolderBlobs, tmp_path: Path) -> None:
    store.put(payload(), PICTURE)
    store.put(result(), b"")
    other = FolderBlobs(tmp_path, "tried")
    assert other.get(payload()) == PICTURE
    assert other.get(result()) == b""
    assert other.get(payload("job-2")) is None
    assert other.get(result(version="other")) is None


def test_what_is_there_stays_as_it_is(store: BlobStore) -> None:
    store.put(result(), b"first")
    store.put(result(), b"second")
    assert store.get(result()) == b"first"


def test_what_is_removed_is_gone_and_the_rest_is_not(store: BlobStore) -> None:
    names = [payload(), result(), result(version="other"), payload("job-2")]
    for name in names:
        store.put(name, PICTURE)
    for _ in range(2):
        store.remove(result())
    assert [store.get(name) is None for name in names] == [False, True, False, False]
    store.put(result(), b"new")
    assert store.get(result()) == b"new"


def test_pages_tell_everything_once(store: BlobStore) -> None:
    names = [kind(f"job-{number}") for number in range(120) for kind in (payload, result)]
    for name in names:
        store.put(name, b"1")
    assert sorted(map(str, found(store))) == sorted(map(str, names))
    assert found(store, older_than_seconds=HOUR) == []


def test_pages_go_on_while_blobs_come_and_go(store: BlobStore) -> None:
    stay = [payload(f"stay-{number}") for number in range(100)]
    for name in stay:
        store.put(name, b"1")
    seen: list[BlobName] = []
    cursor, number = "", 0
    while True:
        page = store.page(cursor, older_than_seconds=-1.0)
        seen += [blob.name for blob in page.blobs]
        for _ in range(5):
            store.put(payload(f"come-{number}"), b"1")
            store.remove(payload(f"come-{number - 7}"))
            number += 1
        cursor = page.next_cursor
        if not cursor:
            break
    assert set(stay) <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("job_id", ["", "..", "../mark", "a/b", "a.b", "a\0", "é", "a" * 129, "job-1\n"])
def test_names_that_are_not_ours_reach_nothing(store: FolderBlobs, tmp_path: Path, job_id: str) -> None:
    for name in (payload(job_id), result(job_id), result(version=job_id or "../x")):
        for call in (store.get, store.remove, lambda one: store.put(one, b"1")):
            with pytest.raises(ValueError, match="name of a blob"):
                call(name)
    assert blob_files(tmp_path) == []


def test_many_threads_and_one_name(store: BlobStore) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        mine = bytes([number]) * 100_000
        for _ in range(10):
            store.put(payload(), mine)
            seen = store.get(payload())
            if seen is not None and (len(seen) != 100_000 or len(set(seen)) != 1):
                wrong.append(seen)
            store.remove(payload())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


# A folder: which one, and whether it is there


def test_a_folder_that_is_not_there_is_never_made(tmp_path: Path) -> None:
    missing = tmp_path / "volume"
    blobs = FolderBlobs(missing, "tried")
    for call in (blobs.prepare, *uses(blobs)):
        with pytest.raises(errors.BlobStoreUnavailable):
            call()
    assert not missing.exists()


def test_a_volume_that_is_not_mounted_is_noticed(store: FolderBlobs, tmp_path: Path) -> None:
    store.put(payload(), PICTURE)
    volume = tmp_path.with_name("volume")
    tmp_path.rename(volume)
    tmp_path.mkdir()  # the place where it was mounted
    try:
        for call in uses(store):
            with pytest.raises(errors.BlobStoreUnavailable, match="mounted"):
                call()
        assert list(tmp_path.iterdir()) == []
    finally:
        tmp_path.rmdir()
        volume.rename(tmp_path)
    assert store.get(payload()) == PICTURE
    store.put(result(), b"1")


def test_a_folder_belongs_to_one_queue(store: FolderBlobs, tmp_path: Path) -> None:
    store.prepare()
    other = FolderBlobs(tmp_path, "other")
    with pytest.raises(errors.SettingsInvalid, match="another queue"):
        other.prepare()
    for call in uses(other):
        with pytest.raises(errors.BlobStoreUnavailable, match="another queue"):
            call()


def test_folders_that_somebody_removed_are_made_again(store: FolderBlobs, tmp_path: Path) -> None:
    store.put(payload(), PICTURE)
    for one in tmp_path.iterdir():
        if one.name != MARK:
            shutil.rmtree(one)
    assert store.get(payload()) is None
    with pytest.raises(errors.BlobStoreUnavailable):
        store.put(payload(), PICTURE)
    store.put(payload(), PICTURE)
    assert store.get(payload()) == PICTURE


def test_other_files_in_the_folder_are_left_alone(store: FolderBlobs, tmp_path: Path) -> None:
    store.put(payload(), PICTURE)
    (mine,) = tmp_path.rglob("*.payload")
    for place in (tmp_path, mine.parent.parent, mine.parent):
        (place / "README").write_text("Do not touch.")
    (mine.parent / "folder").mkdir()
    assert found(store) == [payload()]
    assert blob_files(tmp_path) == ["README", "README", "README", mine.name]


# What processes that were killed leave


def write_for_ever(folder: str, ready: Connection) -> None:
    blobs = FolderBlobs(Path(folder), "tried")
    ready.send(True)
    number = 0
    while True:
        blobs.put(payload(f"job-{number}"), PICTURE * 20)
        number += 1


def test_a_writer_that_is_killed_leaves_nothing_torn(store: FolderBlobs, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        ours, theirs = context.Pipe()
        writer = context.Process(target=write_for_ever, args=(str(tmp_path), theirs), daemon=True)
        writer.start()
        assert ours.poll(30)
        wait_for("a blob", lambda: any(tmp_path.rglob("*.payload")))
        writer.kill()
        writer.join(30)
        for name in found(store):
            assert store.get(name) == PICTURE * 20
            store.remove(name)
        assert blob_files(tmp_path) == []  # what was half written, pages remove


def test_what_is_half_written_has_its_time(store: FolderBlobs, tmp_path: Path) -> None:
    store.put(payload(), PICTURE)
    (whole,) = tmp_path.rglob("*.payload")
    half = whole.with_name(f".{whole.name}.1f2e.part")
    half.write_bytes(b"half")
    assert found(store, older_than_seconds=HOUR) == []
    assert half.exists()
    then = whole.stat().st_mtime - 2 * HOUR
    os.utime(half, (then, then))
    assert found(store, older_than_seconds=HOUR) == []
    assert not half.exists()
    os.utime(whole, (then, then))
    assert found(store, older_than_seconds=HOUR) == [payload()]


# Disks that do not play along


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "may not be used"),
        (errno.EACCES, "may not be used"),
        (errno.EIO, "does not answer"),
        (errno.ESTALE, "does not answer"),
    ],
)
def test_what_a_disk_says_is_told_in_one_line(
    store: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(errors.BlobStoreUnavailable, match=words) as caught:
        store.put(payload(), PICTURE)
    assert str(tmp_path) not in caught.value.message
    assert "\n" not in caught.value.message
    with pytest.raises(errors.BlobStoreUnavailable, match=words):
        store.check()
    monkeypatch.undo()
    assert store.get(payload()) is None
    assert blob_files(tmp_path) == []
    store.put(payload(), PICTURE)
    assert store.get(payload()) == PICTURE


def test_a_file_system_that_knows_no_durable_folders_will_do(
    store: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    store.put(payload(), PICTURE)
    assert store.get(payload()) == PICTURE


IN_A_SMALL_FILE_SYSTEM = """
import sys
from pathlib import Path
from heliograph.adapters.blobs.folder import FolderBlobs
from heliograph.core import errors
from heliograph.core.blobs import BlobKind, BlobName

blobs = FolderBlobs(Path(sys.argv[1]), "tried")
blobs.prepare()
names = [BlobName(job_id=f"job-{number}", kind=BlobKind.PAYLOAD) for number in range(100)]
kept = 0
try:
    for name in names:
        blobs.put(name, bytes(100_000))
        kept += 1
except errors.BlobStoreUnavailable as error:
    print(kept, error.message)
assert [blobs.get(name) is not None for name in names] == [number < kept for number in range(100)]
blobs.remove(names[0])
blobs.put(names[kept], bytes(90_000))
"""


@pytest.fixture
def small_file_system(tmp_path: Path) -> list[str]:
    """The beginning of a command that runs in a file system of 2 MB of its own."""
    mount = f'mount -t tmpfs -o size=2m none "{tmp_path}" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    return command


def test_a_full_disk_keeps_what_it_has(small_file_system: list[str], tmp_path: Path) -> None:
    program = [sys.executable, "-c", IN_A_SMALL_FILE_SYSTEM, str(tmp_path)]
    ended = subprocess.run(
        [*small_file_system, *program], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    kept, _, message = ended.stdout.partition(" ")
    assert 5 < int(kept) < 25
    assert message == "The folder of large payloads is full.\n"
