from __future__ import annotations

import threading

import pytest

from heliograph.cli.answering import answer_all
from heliograph.cli.output import printable, size_text
from heliograph.cli.pictures import PictureSource
from heliograph.core import errors


def sources(count: int) -> list[PictureSource]:
    return [PictureSource(str(number), None) for number in range(count)]


def test_answers_come_in_order_and_one_failure_stops_nothing() -> None:
    first_may_end = threading.Event()

    def ask(source: PictureSource) -> str:
        if source.name == "0":
            assert first_may_end.wait(30)
        if source.name == "1":
            first_may_end.set()
        if source.name == "2":
            raise errors.PictureBroken("torn")
        return source.name.upper()

    outcomes = [outcome for _, outcome in answer_all(sources(5), ask, parallel=2)]
    assert outcomes[:2] == ["0", "1"]
    assert isinstance(outcomes[2], errors.PictureBroken)
    assert outcomes[3:] == ["3", "4"]


def test_what_no_picture_is_to_blame_for_ends_all() -> None:
    asked: list[str] = []

    def ask(source: PictureSource) -> str:
        asked.append(source.name)
        if source.name == "1":
            raise errors.KeyInvalid
        return source.name

    with pytest.raises(errors.KeyInvalid):
        list(answer_all(sources(1000), ask, parallel=1))
    assert asked == ["0", "1"]


def test_names_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31m\nb\udcff") == "a [31m b "


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (18_540_095, "18.5 MB")])
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
