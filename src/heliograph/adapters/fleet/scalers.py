"""What decides how many worker pods there are: an autoscaler, KEDA, or the number in a Deployment.

Objects are taken as the JSON that the API server sends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeAlias

from lightkube.core.resource import NamespacedResource, NamespacedSubResource
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler

from heliograph.adapters.fleet.kubectl import is_name, kubectl
from heliograph.adapters.fleet.kubectl import patch as patch_command
from heliograph.core import errors
from heliograph.core.fleet import FleetBounds

ScaledObject = create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")

PAUSES = tuple(
    f"autoscaling.keda.sh/{name}"
    for name in ("paused-replicas", "paused", "paused-scale-in", "paused-scale-out")
)
KEDA_SECONDS = 30.0
"""How long KEDA may take until it has taken note of an object."""

Json: TypeAlias = Mapping[str, Any]
Kind: TypeAlias = type[NamespacedResource]
Patched: TypeAlias = type[NamespacedResource] | type[NamespacedSubResource]


class Scaler(Protocol):
    """One object of the cluster that says how many workers there may be."""

    kind: ClassVar[Kind]
    patched: ClassVar[Patched]
    """What is patched to change the number."""

    @property
    def name(self) -> str:
        """The object's name."""

    def bounds(self, item: Json) -> FleetBounds:
        """How many there may be by the object."""

    def obstacle(self, item: Json) -> str:
        """What the object says that keeps the number from following the load, as a sentence; "" for nothing."""

    def check(self, bounds: FleetBounds) -> None:
        """Refuses bounds that this kind of object cannot keep with ParameterInvalid."""

    def patch(self, bounds: FleetBounds) -> Json:
        """The JSON merge patch that sets them."""

    def command(self, namespace: str, bounds: FleetBounds) -> str:
        """The command that sets them."""

    def missing(self, namespace: str, *, is_kind_known: bool = True) -> str:
        """Why there is no such object, as a sentence."""


@dataclass(frozen=True, slots=True)
class AutoscalerScaler:
    """A HorizontalPodAutoscaler, on CPU as a rule."""

    name: str
    kind: ClassVar[Kind] = HorizontalPodAutoscaler
    patched: ClassVar[Patched] = HorizontalPodAutoscaler

    def bounds(self, item: Json) -> FleetBounds:
        """At least one where the object does not say."""
        spec = item["spec"]
        return FleetBounds(minimum=spec.get("minReplicas", 1), maximum=spec["maxReplicas"])

    def obstacle(self, item: Json) -> str:
        """Mostly metrics that are missing."""
        for found in _conditions(item):
            match found:
                case {"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}:
                    target = item["spec"]["scaleTargetRef"]["name"]
                    return (
                        "The autoscaler does nothing while the number of workers is 0: set that of the Deployment "
                        f"{target} to 1 or more."
                    )
                case {"type": "ScalingActive", "status": "False"}:
                    return _sentence("The autoscaler does not see the load", found)
                case {"type": "AbleToScale", "status": "False"}:
                    return _sentence("The autoscaler cannot set the number of workers", found)
        return ""

    def check(self, bounds: FleetBounds) -> None:
        """At least one."""
        if bounds.minimum < 1:
            raise errors.ParameterInvalid(
                "There can be no fewer than 1 worker here: the cluster's autoscaler keeps at least one. "
                "With KEDA (autoscaling by the backlog) it can be 0."
            )

    def patch(self, bounds: FleetBounds) -> Json:
        """Both numbers."""
        return {"spec": {"minReplicas": bounds.minimum, "maxReplicas": bounds.maximum}}

    def command(self, namespace: str, bounds: FleetBounds) -> str:
        """``kubectl patch``."""
        return patch_command(namespace, "hpa", self.name, self.patch(bounds))

    def missing(self, namespace: str, *, is_kind_known: bool = True) -> str:
        """It was deleted, or never there."""
        return _missing("HorizontalPodAutoscaler", self.name, namespace)


@dataclass(frozen=True, slots=True)
class KedaScaler:
    """A ScaledObject of KEDA, which reads the backlog."""

    name: str
    kind: ClassVar[Kind] = ScaledObject
    patched: ClassVar[Patched] = ScaledObject

    def bounds(self, item: Json) -> FleetBounds:
        """None to a hundred where the object does not say."""
        spec = item["spec"]
        return FleetBounds(minimum=spec.get("minReplicaCount", 0), maximum=spec.get("maxReplicaCount", 100))

    def obstacle(self, item: Json) -> str:
        """A pause, a trigger that KEDA cannot read, or a KEDA that does not run."""
        annotations = item["metadata"].get("annotations") or {}
        for pause in PAUSES:
            if annotations.get(pause, "false") != "false":
                return f"Scaling is paused by the annotation {pause} of the ScaledObject {self.name}."
        for found in _conditions(item):
            match found:
                case {"type": "Ready", "status": "False"}:
                    return _sentence("KEDA does not see the load", found)
                case {"type": "Fallback", "status": "True"}:
                    return _sentence("KEDA does not see the load and keeps a fixed number of workers", found)
        if not any(_conditions(item)) and _age_seconds(item) > KEDA_SECONDS:
            return (
                f"KEDA has not taken note of the ScaledObject {self.name}: its operator does not seem to run."
            )
        return ""

    def check(self, bounds: FleetBounds) -> None:
        """None at times, but not always."""
        if bounds.maximum < 1:
            raise errors.ParameterInvalid("KEDA scales to 1 worker or more: the larger number cannot be 0.")

    def patch(self, bounds: FleetBounds) -> Json:
        """Both numbers."""
        return {"spec": {"minReplicaCount": bounds.minimum, "maxReplicaCount": bounds.maximum}}

    def command(self, namespace: str, bounds: FleetBounds) -> str:
        """``kubectl patch``."""
        return patch_command(namespace, "scaledobject", self.name, self.patch(bounds))

    def missing(self, namespace: str, *, is_kind_known: bool = True) -> str:
        """It was deleted, never there, or KEDA is not installed."""
        if not is_kind_known:
            return (
                f"KEDA is not installed in this cluster, so nothing scales by the ScaledObject {self.name}."
            )
        return _missing("ScaledObject", self.name, namespace)


@dataclass(frozen=True, slots=True)
class FixedScaler:
    """A Deployment, which keeps one number of pods. Only its scale is changed, for which fewer rights are needed."""

    name: str
    kind: ClassVar[Kind] = Deployment
    patched: ClassVar[Patched] = Deployment.Scale

    def bounds(self, item: Json) -> FleetBounds:
        """The same number twice."""
        replicas = item["spec"].get("replicas", 1)
        return FleetBounds(minimum=replicas, maximum=replicas)

    def obstacle(self, item: Json) -> str:
        """Pods that a quota or a policy of the cluster refuses."""
        for found in _conditions(item):
            if (found.get("type"), found.get("status")) == ("ReplicaFailure", "True"):
                return _sentence("The cluster does not start all workers", found)
        return ""

    def check(self, bounds: FleetBounds) -> None:
        """One number."""
        if bounds.minimum != bounds.maximum:
            raise errors.ParameterInvalid(
                f"There can be no {bounds} here: nothing scales by the load (autoscaling is off), so both numbers "
                "have to be the same."
            )

    def patch(self, bounds: FleetBounds) -> Json:
        """The number."""
        return {"spec": {"replicas": bounds.minimum}}

    def command(self, namespace: str, bounds: FleetBounds) -> str:
        """``kubectl scale``."""
        count = str(bounds.minimum)
        return kubectl(namespace, "scale", "deployment", self.name, "--replicas", count)

    def missing(self, namespace: str, *, is_kind_known: bool = True) -> str:
        """It was deleted, or never there."""
        return _missing("Deployment", self.name, namespace)


SCALERS: Mapping[str, Callable[[str], Scaler]] = {
    "hpa": AutoscalerScaler,
    "scaledobject": KedaScaler,
    "deployment": FixedScaler,
}


def parse_scaler(text: str) -> Scaler:
    """The scaler of a setting such as ``hpa/heliograph-worker``.

    Raises:
        SettingsInvalid: it is none.
    """
    kind, _, name = text.partition("/")
    if kind not in SCALERS or not is_name(name):
        kinds = ", ".join(f"{known}/NAME" for known in SCALERS)
        raise errors.SettingsInvalid(
            f"What scales the workers cannot be {errors.excerpt(text)!r}: it is one of {kinds}, where NAME is the "
            "object's name in the cluster."
        )
    return SCALERS[kind](name)


def _conditions(item: Json) -> Iterator[Json]:
    yield from (item.get("status") or {}).get("conditions") or ()


def _sentence(beginning: str, condition: Json) -> str:
    parts = (beginning, condition.get("reason"), condition.get("message"))
    return errors.excerpt(": ".join(part for part in parts if part).rstrip(".")) + "."


def _missing(kind: str, name: str, namespace: str) -> str:
    return (
        f"There is no {kind} {name} in the namespace {namespace}, so nothing decides how many workers there are. "
        "Installing the chart once more (scripts/deploy, helm upgrade) makes it again."
    )


def _age_seconds(item: Json) -> float:
    created = item["metadata"].get("creationTimestamp")
    return 0.0 if created is None else time.time() - datetime.fromisoformat(created).timestamp()
