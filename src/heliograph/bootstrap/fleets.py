"""The fleet behind a gateway: the processes of `up`, the pods of a cluster, or whoever is heard of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heliograph.adapters.fleet.socket import SocketFleet
from heliograph.bootstrap.parts import background
from heliograph.bootstrap.queues import Queue
from heliograph.core import errors
from heliograph.core.fleet import Fleet, FleetLog
from heliograph.serving.fleet import HeartbeatFleet
from heliograph.settings import Settings


@asynccontextmanager
async def gateway_fleet(settings: Settings, queue: Queue) -> AsyncIterator[Fleet]:
    """The fleet that the settings name, followed while the context is open.

    Raises:
        SettingsInvalid: it is one of pods, and this process is in none, or the settings do not say which.
    """
    if settings.fleet_socket is not None:
        yield SocketFleet(settings.fleet_socket)
    elif settings.fleet_selector is None or queue.fleet_log is None:
        yield HeartbeatFleet(queue.desk)
    else:
        async with _pods(settings, settings.fleet_selector, queue.fleet_log) as fleet:
            yield fleet


@asynccontextmanager
async def _pods(settings: Settings, selector: str, log: FleetLog) -> AsyncIterator[Fleet]:
    """The pods of this process's own namespace that have these labels."""
    try:
        from heliograph.adapters.fleet.api_server import in_cluster
        from heliograph.adapters.fleet.kubernetes import KubernetesFleet
        from heliograph.adapters.fleet.scalers import parse_scaler
    except ImportError as error:
        raise errors.SettingsInvalid(
            f"HELIOGRAPH_FLEET_SELECTOR: a fleet of pods needs the extra heliograph[k8s]: {error}."
        ) from None
    if settings.fleet_scaler is None:
        raise errors.SettingsInvalid("HELIOGRAPH_FLEET_SCALER does not say what scales the pods.")
    scaler = parse_scaler(settings.fleet_scaler)
    client, namespace = in_cluster()
    try:
        fleet = KubernetesFleet(
            client=client,
            namespace=namespace,
            selector=dict(pair.split("=", 1) for pair in selector.split(",")),
            scaler=scaler,
            allows_actions=settings.fleet_actions,
            log=log,
        )
        async with background(fleet.watch()):
            yield fleet
    finally:
        await client.close()
