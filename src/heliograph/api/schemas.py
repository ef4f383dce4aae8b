"""The shapes of JSON answers: the source of the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, RootModel

from heliograph.serving.access import Scope


class Shape(BaseModel):
    """Base of every shape: frozen, no unknown members."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelShape(Shape):
    """One class and how likely it is."""

    label: str = Field(examples=["tabby"])
    probability: float = Field(ge=0, le=1, examples=[0.62])


class LabelsShape(RootModel[list[LabelShape]]):
    """The most likely labels, best first."""


class ProblemShape(Shape):
    """RFC 9457 problem details; ``code`` is stable."""

    type: str = Field(examples=["urn:heliograph:problem:picture-broken"])
    title: str = Field(examples=["The picture is broken"])
    status: int = Field(examples=[422])
    code: str = Field(examples=["picture-broken"])
    detail: str = Field(examples=["The picture ends before its last line."])
    retry_after_seconds: int | None = Field(None, description="Only where trying again later can help.")


class TimingsShape(Shape):
    """Milliseconds of one picture in each phase."""

    queue: float
    decode: float
    infer: float
    encode: float


class ResultShape(Shape):
    """One picture's answer: its predictions, or the problem with it."""

    name: str = Field(description="File name as it was sent.", examples=["cat.jpg"])
    predictions: list[LabelShape] | None = None
    timings_ms: TimingsShape | None = None
    problem: ProblemShape | None = None


class PredictionShape(Shape):
    """The answer of a classification."""

    model: str = Field(examples=["efficientnet-lite0"])
    version: str = Field(examples=["1"])
    results: list[ResultShape]


class PlanShape(Shape):
    """How a model runs here."""

    engine: str = Field(examples=["onnxruntime"])
    precision: str = Field(examples=["fp32"])
    streams: int
    threads_per_stream: int
    max_batch: int


class ModelSummaryShape(Shape):
    """A model that is served here."""

    name: str
    version: str
    task: str = Field(examples=["classification"])
    title: str
    licence: str
    state: str = Field(description="`loading`, `ready` or `unavailable`.")
    problem: str | None = Field(None, description="Why it is unavailable.")
    plan: PlanShape | None = None


class ModelListShape(Shape):
    """The models that are served here, and which one each task's simple route asks."""

    models: list[ModelSummaryShape]
    defaults: dict[str, str]


class AccuracyShape(Shape):
    """One number as it was measured."""

    metric: str
    value: float
    data: str


class ModelShape(ModelSummaryShape):
    """All about one model."""

    description: str
    homepage: str
    input: dict[str, object]
    labels: list[str]
    accuracy: list[AccuracyShape]
    card: str = Field(description="The model card, Markdown.")


class SessionShape(Shape):
    """Who asks, and what it may."""

    name: str = Field(description="Of the API key; empty where nobody is asked for one.", examples=["laptop"])
    scopes: list[Scope]
    keys_asked: bool = Field(description="Whether API keys are in use.")


class HealthShape(Shape):
    """What a probe is told."""

    status: str = Field(examples=["ok"])
    models: dict[str, str] = Field(default_factory=dict, description="The state of each model.")
