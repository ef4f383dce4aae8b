"""What a package says of somebody's model: what is known goes in, what does not fit is told in the person's words."""

from __future__ import annotations

from heliograph.bootstrap.describing import card_text
from heliograph.core.models import (
    Channels,
    Fit,
    InputSpec,
    Interpolation,
    Layout,
    Meaning,
    ModelSpec,
    OutputSpec,
    Task,
)


def spec(title: str) -> ModelSpec:
    return ModelSpec(
        name="net",
        version="1",
        task=Task.BACKGROUND_REMOVAL,
        title=title,
        description="Made for a test.",
        licence="MIT",
        homepage="",
        labels=(),
        input=InputSpec(
            width=8,
            height=8,
            channels=Channels.RGB,
            layout=Layout.NCHW,
            fit=Fit.STRETCH,
            interpolation=Interpolation.LINEAR,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
        ),
        output=OutputSpec(meaning=Meaning.MATTE),
        variants=(),
    )


def test_nothing_adds_lines_to_a_card() -> None:
    plain = card_text(spec("My net"), "net.keras", "none")
    strange = card_text(
        spec("My net\n# Another\x1b[2J"), "net\n- licence: MIT\n.keras", "none\u2028\rby net\n\n# Third"
    )
    assert len(strange.splitlines()) == len(plain.splitlines())
    assert strange.replace("\n", "").isprintable()
    assert strange.startswith("# My net # Another [2J\n")
