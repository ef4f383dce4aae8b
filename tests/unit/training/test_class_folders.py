"""A folder of folders of pictures, in every state in which people have one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import drawn_classes
from heliograph.core.pictures import PictureLimits
from heliograph.training.classes.folders import Collection, survey
from heliograph.training.classes.views import Viewer
from heliograph.training.runs import TrainingRefused

LOOK = Viewer(PictureLimits()).look


def names(collection: Collection) -> tuple[list[str], list[str]]:
    """The pictures to train on and those held out, as class/file."""
    parts = (collection.training, collection.held_out)
    training, held_out = ([f"{e.path.parent.name}/{e.path.name}" for e in part] for part in parts)
    return training, held_out


def test_a_fifth_of_each_class_is_held_out_and_always_the_same(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path / "shapes", each=10)
    found = survey(tmp_path / "shapes", LOOK)
    assert found.labels == drawn_classes.CLASSES
    assert (len(found.training), len(found.held_out), found.given_split) == (24, 6, False)
    assert found.counts().tolist() == [8, 8, 8]
    assert found.skipped == ()
    shutil.copytree(tmp_path / "shapes", tmp_path / "moved")
    (tmp_path / "moved" / "disc" / "0.png").rename(tmp_path / "moved" / "disc" / "renamed.png")
    again = survey(tmp_path / "moved", LOOK)
    assert {e.sha256 for e in again.held_out} == {e.sha256 for e in found.held_out}


def test_two_pictures_a_class_suffice_and_one_does_not(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path, each=2)
    found = survey(tmp_path, LOOK)
    assert (len(found.training), len(found.held_out)) == (3, 3)
    (tmp_path / "disc" / "1.png").unlink()
    with pytest.raises(TrainingRefused, match=r"disc has one picture; two or more are needed"):
        survey(tmp_path, LOOK)


@pytest.mark.parametrize("held_out", ["test", "val", "validation"])
def test_the_split_of_the_folder_itself_is_kept(tmp_path: Path, held_out: str) -> None:
    drawn_classes.write(tmp_path / "train", each=3)
    drawn_classes.write(tmp_path / held_out, each=1, seed=2, classes=("disc", "square"))
    (tmp_path / "index.csv").write_text("file,class\n")
    found = survey(tmp_path, LOOK)
    assert (len(found.training), names(found)[1]) == (9, ["disc/0.png", "square/0.png"])
    assert found.given_split


def test_a_folder_with_train_alone_is_split(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path / "train", each=5)
    found = survey(tmp_path, LOOK)
    assert (len(found.training), len(found.held_out), found.given_split) == (12, 3, False)


def test_a_third_folder_beside_train_and_test_is_refused(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path / "train", each=2)
    drawn_classes.write(tmp_path / "test", each=1, seed=2)
    (tmp_path / ".cache").mkdir()
    assert survey(tmp_path, LOOK).labels == drawn_classes.CLASSES
    (tmp_path / "annotations").mkdir()
    with pytest.raises(TrainingRefused, match="has train and test, and annotations beside them"):
        survey(tmp_path, LOOK)


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path, each=2)
    (tmp_path / "disc").rename(tmp_path / "train")
    (tmp_path / "square").rename(tmp_path / "test")
    assert survey(tmp_path, LOOK).labels == ("stripes", "test", "train")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path, each=2)
    (tmp_path / "disc").rename(tmp_path / "train")
    assert survey(tmp_path, LOOK).labels == ("square", "stripes", "train")


def test_a_class_that_only_the_test_folder_has_is_refused(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path / "train", each=2, classes=("disc", "square"))
    drawn_classes.write(tmp_path / "test", each=1)
    with pytest.raises(TrainingRefused, match="stripes has no folder of the same name"):
        survey(tmp_path, LOOK)


def test_what_is_no_picture_is_named_and_left_out(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path, each=5)
    folder = tmp_path / "disc"
    (folder / "notes.txt").write_text("these are discs")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and then nothing")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:-40])
    (folder / "empty.png").touch()
    (folder / "nowhere.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(folder / "pipe.png")
    found = survey(tmp_path, LOOK)
    assert len(found.training) + len(found.held_out) == 15
    told = {Path(line.partition(": ")[0]).name: line.partition(": ")[2] for line in found.skipped}
    assert set(told) == {"notes.txt", "broken.jpg", "cut.png", "empty.png", "nowhere.png", "pipe.png"}
    assert told["empty.png"] == "The picture is empty."
    assert told["pipe.png"] == told["nowhere.png"] == "It is not a file."


def test_hidden_files_and_folders_do_not_count(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path, each=2)
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "disc" / ".DS_Store").write_bytes(b"?")
    (tmp_path / "disc" / ".hidden").mkdir()
    shutil.copy(tmp_path / "square" / "0.png", tmp_path / "disc" / ".hidden" / "0.png")
    found = survey(tmp_path, LOOK)
    assert (found.labels, found.skipped) == (drawn_classes.CLASSES, ())


def test_links_to_files_and_subfolders_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path / "elsewhere", each=4)
    folder = tmp_path / "shapes"
    (folder / "disc" / "more").mkdir(parents=True)
    (folder / "disc" / "circle").symlink_to(folder / "disc")
    for number in range(4):
        place = folder / "disc" / ("more" if number > 1 else "")
        (place / f"{number}.png").symlink_to(tmp_path / "elsewhere" / "disc" / f"{number}.png")
    (folder / "square").symlink_to(tmp_path / "elsewhere" / "square")
    found = survey(folder, LOOK)
    assert len(found.training) + len(found.held_out) == 8


def test_the_same_picture_counts_once_and_never_for_two_classes(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path / "train", each=4)
    drawn_classes.write(tmp_path / "test", each=2, seed=2)
    train, test = tmp_path / "train", tmp_path / "test"
    shutil.copy(train / "disc" / "0.png", train / "disc" / "again.png")
    shutil.copy(train / "disc" / "1.png", test / "disc" / "known.png")
    shutil.copy(train / "disc" / "2.png", train / "square" / "wrong.png")
    found = survey(tmp_path, LOOK)
    training, held_out = names(found)
    assert not {"disc/1.png", "disc/2.png", "disc/again.png", "square/wrong.png"} & set(training)
    assert "disc/0.png" in training
    assert "disc/known.png" in held_out
    assert [sum(word in line for line in found.skipped) for word in ("already", "held out", "another class")] == [
        1, 1, 1,
    ]  # fmt: skip


def test_folders_that_cannot_be_learned_from_say_why(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match=r"is not a folder. --data names"):
        survey(tmp_path / "absent", LOOK)
    with pytest.raises(TrainingRefused, match=r"Two classes or more are needed.*there is none"):
        survey(tmp_path, LOOK)
    drawn_classes.write(tmp_path, each=2, classes=("disc",))
    with pytest.raises(TrainingRefused, match="there is only 'disc'"):
        survey(tmp_path, LOOK)
    (tmp_path / "square").mkdir()
    (tmp_path / "square" / "notes.txt").write_text("none yet")
    with pytest.raises(TrainingRefused, match=r"square has no picture that can be used.*notes\.txt"):
        survey(tmp_path, LOOK)


def test_a_picture_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    drawn_classes.write(tmp_path, each=2)
    example = survey(tmp_path, LOOK).training[0]
    example.path.write_bytes(b"something else")
    with pytest.raises(TrainingRefused, match="was changed meanwhile"):
        example.read()
    example.path.unlink()
    with pytest.raises(TrainingRefused, match="cannot be read any more"):
        example.read()
