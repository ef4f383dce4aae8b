"""The page in Chromium before a release on the real cluster: signed in, pods as tiles, stopped and scaled by clicks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from browser.pages import choose, drop, expect, expect_done, opened, photos, sign_in
from cluster.kubernetes import Cluster, Namespace, wait_until
from cluster.queues import GATEWAYS, VALKEY_CLAIM, open_volume, url_of
from cluster.releases import install, wait_for_pods
from heliograph.api.access import SESSION_COOKIE
from heliograph.serving.access import Scope, create_key

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("cat.png", "coffee.png", "astronaut.png", "rocket.jpg")
COUNT = 24
VALUES = (
    "mode=queue",
    "service.type=NodePort",
    "auth.existingSecret=heliograph-keys",
    "fleet.actions=true",
    GATEWAYS,
    "gateway.replicas=2",
    "worker.autoscaling.by=keda",
    "worker.autoscaling.minReplicas=2",
    "worker.autoscaling.maxReplicas=2",
)


@dataclass(frozen=True)
class Release:
    """A release with two gateways and two workers, and a key that may do everything."""

    namespace: Namespace
    key: str

    @contextmanager
    def page(self, browser: Browser, path: str) -> Iterator[Page]:
        """A page of somebody who has signed in."""
        with opened(browser, url_of(self.namespace), path) as page:
            sign_in(page, self.key)
            expect(page.locator(".connection")).to_have_text("Live")
            yield page

    def workers(self) -> set[str]:
        """The names of the pods that are not on their way out."""
        return {pod["metadata"]["name"] for pod in self.namespace.pods("worker")}

    def bounds(self) -> tuple[int, int]:
        """What the ScaledObject says."""
        spec = self.namespace.get("scaledobject", "heliograph-worker")["spec"]
        return spec["minReplicaCount"], spec["maxReplicaCount"]


@pytest.fixture(scope="module")
def release(cluster: Cluster, image: str) -> Iterator[Release]:
    key, stored = create_key("ana", list(Scope))
    with cluster.namespace("console") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        namespace.kubectl(
            "create", "secret", "generic", "heliograph-keys", f"--from-literal=api-keys={stored.line()}"
        )
        install(namespace, image, *VALUES)
        wait_for_pods(namespace, 2, component="worker")
        yield Release(namespace, key)


def test_who_signs_in_is_known_to_every_gateway(browser: Browser, release: Release) -> None:
    with release.page(browser, "") as page:
        cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
        assert cookies[SESSION_COOKIE]["httpOnly"]
        sent = {"Cookie": f"{SESSION_COOKIE}={cookies[SESSION_COOKIE]['value']}"}
        gateways = release.namespace.pods("gateway")
        assert len(gateways) == 2
        for pod in gateways:
            address = f"http://{pod['status']['podIP']}:8000/v1/session"
            assert httpx2.get(address, timeout=10).status_code == 401
            told = httpx2.get(address, headers=sent, timeout=10)
            assert (told.status_code, told.json()["name"]) == (200, "ana")


def test_a_pod_is_stopped_by_a_click_and_every_picture_is_answered(
    browser: Browser, release: Release, samples: Path
) -> None:
    with release.page(browser, "") as page, release.page(browser, "#/fleet") as other:
        expect(other.locator(".tile.ready")).to_have_count(2)
        before = release.workers()
        assert set(other.locator(".tile-name").all_inner_texts()) == before
        choose(page, "Cut-out")
        files = [(f"{n}-{name}", data) for n in range(COUNT) for name, data in photos(samples, *NAMES)]
        drop(page, files[:COUNT])
        expect(page.locator(".card.asking")).not_to_have_count(0)
        at_work = other.locator(".tile.busy, .tile.ready")
        expect(at_work).not_to_have_count(0)
        victim = at_work.first.locator(".tile-name").inner_text()
        other.get_by_role("button", name=f"Stop {victim}").click()
        other.get_by_role("button", name="Stop it").click()
        expect(other.locator(".tile.stopping, .tile.gone").filter(has_text=victim)).to_have_count(1)
        expect(other.locator(".log code").first).to_have_text(
            f"kubectl --namespace {release.namespace.name} delete pod {victim}"
        )
        expect(other.locator(".log li").first).to_contain_text("by ana")
        expect_done(page, COUNT, patience=300)
        expect(page.locator(".toolbar [role=status]")).to_have_text(f"{COUNT} done")
        expect(other.locator(".tile.ready")).to_have_count(2, timeout=120_000)
        after = release.workers()
        assert victim not in after
        assert len(after - before) == 1, "another one in its place"


def test_bounds_that_the_page_sets_are_those_of_the_scaled_object(browser: Browser, release: Release) -> None:
    assert release.bounds() == (2, 2)
    with release.page(browser, "#/fleet") as page:
        page.get_by_role("button", name="At most: one more").click()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".bounds [role=status]")).to_contain_text("2 to 3 workers")
        assert release.bounds() == (2, 3)
        page.get_by_role("button", name="At least: one more").click()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".tile.ready")).to_have_count(3, timeout=120_000)
        assert release.bounds() == (3, 3)
        page.get_by_role("button", name="At least: one less").click()
        page.get_by_role("button", name="At least: one less").click()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".log code").first).to_contain_text("patch scaledobject")
        wait_until("the old bounds", lambda: release.bounds() == (1, 3), 10)
