"""The limits of a process as control groups of both versions tell them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliograph.adapters import machine

EIGHT = 8
GIGABYTE = 2**30


def tree(root: Path, group: str | None, files: dict[str, str]) -> Path:
    """A machine's ``/proc`` and ``/sys`` in which this process is in ``group``."""
    if group is not None:
        own = root / "proc" / "self" / "cgroup"
        own.parent.mkdir(parents=True)
        own.write_text(group)
    for name, text in files.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def threads(root: Path, processors: int = EIGHT) -> int:
    return machine.available_threads(root=root, processors=lambda: processors)


@pytest.mark.parametrize(
    ("quota", "wanted"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("100001 100000", 2),
        ("1000 100000", 1),
        ("25000 50000", 1),
        ("max 100000", EIGHT),
        ("1600000 100000", EIGHT),
        ("0 100000", 1),
        ("200000 0", EIGHT),
        ("200000", EIGHT),
        ("-1 100000", EIGHT),
        ("", EIGHT),
        ("nonsense é", EIGHT),
    ],
)
def test_quota_of_version_2(quota: str, wanted: int, tmp_path: Path) -> None:
    assert threads(tree(tmp_path, "0::/\n", {"cpu.max": quota + "\n"})) == wanted


def test_the_smallest_quota_above_counts(tmp_path: Path) -> None:
    files = {"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "500000 100000"}
    assert threads(tree(tmp_path, "0::/a/b\n", files)) == 3


def test_neighbours_do_not_count(tmp_path: Path) -> None:
    files = {"a/b/cpu.max": "400000 100000", "a/other/cpu.max": "100000 100000"}
    assert threads(tree(tmp_path, "0::/a/b\n", files)) == 4


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("inside", ["", "docker/1f2e/"])
def test_quota_of_version_1(folder: str, inside: str, tmp_path: Path) -> None:
    """In a container the group is the host's name, and the mount itself is the group."""
    group = "5:memory:/docker/1f2e\n4:cpu,cpuacct:/docker/1f2e\n1:name=systemd:/docker/1f2e\n"
    files = {
        f"{folder}/{inside}cpu.cfs_quota_us": "250000\n",
        f"{folder}/{inside}cpu.cfs_period_us": "100000\n",
    }
    assert threads(tree(tmp_path, group, files)) == 3


def test_no_quota_of_version_1(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert threads(tree(tmp_path, "1:cpu:/\n0::/\n", files)) == EIGHT


def test_quotas_of_another_controller_do_not_count(tmp_path: Path) -> None:
    files = {"cpuset/cpu.cfs_quota_us": "100000", "cpuset/cpu.cfs_period_us": "100000"}
    assert threads(tree(tmp_path, "1:cpuset:/\n2:name=cpu:/\n", files)) == EIGHT


def test_a_group_above_the_mount_stays_inside_it(tmp_path: Path) -> None:
    files = {"job/cpu.max": "200000 100000", "../../../cpu.max": "100000 100000"}
    assert threads(tree(tmp_path / "machine", "0::/../../../job\n", files)) == 2


@pytest.mark.parametrize("group", [None, "", "nonsense\n", "::\n"])
def test_without_control_groups_the_scheduler_decides(group: str | None, tmp_path: Path) -> None:
    root = tree(tmp_path, group, {})
    assert threads(root, processors=3) == 3
    assert threads(root, processors=0) == 1


def test_affinity_below_the_quota_counts(tmp_path: Path) -> None:
    assert threads(tree(tmp_path, "0::/\n", {"cpu.max": "400000 100000"}), processors=2) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_a_bound_process_has_one_thread() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.available_threads() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= machine.available_threads() <= len(before)


def memory(root: Path, installed: int | None = 8 * GIGABYTE) -> int | None:
    return machine.available_memory(root=root, installed=lambda: installed)


@pytest.mark.parametrize(
    ("group", "files", "wanted"),
    [
        ("0::/\n", {"memory.max": "1073741824\n"}, GIGABYTE),
        ("0::/\n", {"memory.max": "max\n"}, 8 * GIGABYTE),
        ("0::/a/b\n", {"a/memory.max": "2147483648", "a/b/memory.max": "max"}, 2 * GIGABYTE),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "1073741824\n"}, GIGABYTE),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8 * GIGABYTE),
        ("0::/\n", {"memory.max": "nonsense"}, 8 * GIGABYTE),
        (None, {}, 8 * GIGABYTE),
    ],
)
def test_the_smallest_limit_of_memory_counts(
    group: str | None, files: dict[str, str], wanted: int, tmp_path: Path
) -> None:
    assert memory(tree(tmp_path, group, files)) == wanted


def test_memory_of_a_machine_that_does_not_say(tmp_path: Path) -> None:
    assert memory(tmp_path, None) is None
    assert memory(tree(tmp_path, "0::/\n", {"memory.max": "1073741824"}), None) == GIGABYTE


def test_this_machine_says_how_much_memory_it_has() -> None:
    assert (machine.available_memory() or 0) > GIGABYTE // 4
