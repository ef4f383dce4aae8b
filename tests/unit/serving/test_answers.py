"""What lies in the queue is read as it was written, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core import errors
from heliograph.core.jobs import JobResult
from heliograph.core.models import Task
from heliograph.core.predictions import (
    CutoutOptions,
    CutoutOutput,
    EncodedPicture,
    Label,
    LabelledPicture,
    PictureFormat,
    Timings,
)
from heliograph.serving.answers import Wanted, pack_job, pack_result, unpack_job, unpack_result
from unit.serving.parts import model_spec

colours = st.tuples(*[st.integers(0, 255)] * 3)
cutouts = st.builds(
    CutoutOptions,
    output=st.sampled_from(CutoutOutput),
    format=st.sampled_from(PictureFormat),
    background=st.one_of(st.none(), colours, st.binary(min_size=1)),
    decontaminate=st.booleans(),
)


@given(picture=st.binary(), cutout=cutouts)
def test_a_background_removal_survives_the_queue(picture: bytes, cutout: CutoutOptions) -> None:
    payload, parameters = pack_job(Task.BACKGROUND_REMOVAL, picture, Wanted(cutout=cutout))
    found, wanted = unpack_job(payload, parameters)
    assert (found, wanted.cutout) == (picture, cutout)


@given(picture=st.binary(), top=st.integers(1, 1000))
def test_a_classification_survives_the_queue(picture: bytes, top: int) -> None:
    assert unpack_job(*pack_job(Task.CLASSIFICATION, picture, Wanted(top=top))) == (picture, Wanted(top=top))


@pytest.mark.parametrize("parameters", ["", "[]", "{", '{"top": "many"}', '{"output": "everything"}', "null"])
def test_what_makes_no_sense_is_an_error_of_ours(parameters: str) -> None:
    with pytest.raises(errors.HeliographError):
        unpack_job(b"picture", parameters)


def test_labels_survive_the_queue() -> None:
    timings = Timings(queue=0.001, decode=0.002, infer=0.003, encode=0.004)
    answer = LabelledPicture(labels=(Label("Katze, süß", 0.75), Label("b", 0.25)), timings=timings)
    result = pack_result(answer, model_spec(), worker="w1")
    assert json.loads(result.data)[0] == {"label": "Katze, süß", "probability": 0.75}
    found = unpack_result(result)
    assert isinstance(found, LabelledPicture)
    assert found.labels == answer.labels
    assert found.timings.worker == "w1"
    assert found.timings.milliseconds() == timings.milliseconds()


def test_a_picture_survives_the_queue() -> None:
    answer = EncodedPicture(
        data=b"PNG", media_type="image/png", width=3, height=2, timings=Timings(infer=1.5)
    )
    found = unpack_result(pack_result(answer, model_spec(task=Task.BACKGROUND_REMOVAL), worker="w1"))
    assert isinstance(found, EncodedPicture)
    assert (found.data, found.media_type, found.width, found.height) == (b"PNG", "image/png", 3, 2)


def test_facts_are_json() -> None:
    answer = LabelledPicture(labels=(), timings=Timings())
    facts = json.loads(pack_result(answer, model_spec("m"), worker="w").facts)
    assert (facts["model"], facts["version"], facts["worker"]) == ("m", "1", "w")
    assert isinstance(pack_result(answer, model_spec(), worker="w"), JobResult)
