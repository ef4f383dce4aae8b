"""How clients reach the pods, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from chart.rendering import Values, of_kind, one, pod, refusal, render, values

OPEN = {"mode": "off"}
SELECTOR = {
    "app.kubernetes.io/name": "heliograph",
    "app.kubernetes.io/instance": "heliograph",
    "app.kubernetes.io/component": "serve",
}
TEST_PEER = {"podSelector": {"matchLabels": {**SELECTOR, "app.kubernetes.io/component": "test"}}}


def service(**settings: Any) -> dict[str, Any]:
    spec: dict[str, Any] = one("Service", {"auth": OPEN, "service": settings})["spec"]
    return spec


def test_by_default_only_the_cluster_reaches_it() -> None:
    spec = one("Service")["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["selector"] == SELECTOR
    (port,) = spec["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")
    assert {"name": "http", "containerPort": 8000, "protocol": "TCP"} in pod()["spec"]["containers"][0][
        "ports"
    ]
    assert "nodePort" not in port


def test_a_node_port_is_chosen_or_left_to_kubernetes() -> None:
    assert service(type="NodePort", nodePort=30080)["ports"][0]["nodePort"] == 30080
    assert "nodePort" not in service(type="NodePort")["ports"][0]
    assert service(type="LoadBalancer", nodePort=30080)["ports"][0]["nodePort"] == 30080


def test_a_load_balancer_and_its_choices() -> None:
    spec = service(
        type="LoadBalancer",
        port=8080,
        loadBalancerClass="a/b",
        loadBalancerSourceRanges=["10.0.0.0/8"],
        externalTrafficPolicy="Local",
    )
    assert spec["ports"][0]["port"] == 8080
    assert spec["loadBalancerClass"] == "a/b"
    assert spec["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
    assert spec["externalTrafficPolicy"] == "Local"
    plain = service(type="LoadBalancer")
    assert not {"loadBalancerClass", "loadBalancerSourceRanges", "externalTrafficPolicy"} & set(plain)


def test_annotations_of_the_service() -> None:
    given = values(service__annotations={"a/b": "c"})
    assert one("Service", given)["metadata"]["annotations"] == {"a/b": "c"}
    assert "annotations" not in one("Service")["metadata"]


def test_operations_have_a_service_of_their_own_that_names_each_pod() -> None:
    spec = one("Service", suffix="-ops")["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert spec["selector"] == SELECTOR
    assert [(port["name"], port["port"]) for port in spec["ports"]] == [("ops", 8001)]


def test_optional_objects_are_not_there_by_default() -> None:
    kinds = {entry["kind"] for entry in render()}
    assert not kinds & {"Ingress", "HTTPRoute", "NetworkPolicy", "ServiceMonitor", "Secret"}


def test_an_ingress_leads_to_the_service() -> None:
    given = {
        "auth": OPEN,
        "ingress": {
            "enabled": True,
            "className": "example",
            "annotations": {"a/b": "c"},
            "hosts": [
                {"host": "a.example"},
                {"host": "b.example", "paths": [{"path": "/v1", "pathType": "Exact"}]},
            ],
            "tls": [{"secretName": "t", "hosts": ["a.example"]}],
        },
    }
    ingress = one("Ingress", given)
    backend = {"service": {"name": "heliograph", "port": {"name": "http"}}}
    assert ingress["metadata"]["annotations"] == {"a/b": "c"}
    assert ingress["spec"]["ingressClassName"] == "example"
    assert ingress["spec"]["tls"] == [{"secretName": "t", "hosts": ["a.example"]}]
    assert [(rule["host"], rule["http"]["paths"]) for rule in ingress["spec"]["rules"]] == [
        ("a.example", [{"path": "/", "pathType": "Prefix", "backend": backend}]),
        ("b.example", [{"path": "/v1", "pathType": "Exact", "backend": backend}]),
    ]


def test_an_ingress_without_class_and_tls_leaves_them_to_the_cluster() -> None:
    given = {"auth": OPEN, "ingress": {"enabled": True, "hosts": [{"host": "a.example"}]}}
    assert set(one("Ingress", given)["spec"]) == {"rules"}


def test_an_http_route_leads_to_the_service() -> None:
    given = {
        "auth": OPEN,
        "service": {"port": 8080},
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hostnames": ["a.example"],
            "annotations": {"a/b": "c"},
        },
    }
    route = one("HTTPRoute", given)
    assert route["metadata"]["annotations"] == {"a/b": "c"}
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
    assert route["spec"]["hostnames"] == ["a.example"]
    (rule,) = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "heliograph", "port": 8080}]


@pytest.mark.parametrize(
    ("given", "helps"),
    [
        ({"ingress": {"enabled": True}}, "--set 'ingress.hosts[0].host="),
        ({"httpRoute": {"enabled": True}}, "--set 'httpRoute.parentRefs[0].name="),
    ],
)
def test_what_is_missing_is_named(given: Values, helps: str) -> None:
    assert helps in refusal({"auth": OPEN, **given})


def policy(**settings: Any) -> dict[str, Any]:
    spec: dict[str, Any] = one("NetworkPolicy", {"networkPolicy": {"enabled": True, **settings}})["spec"]
    return spec


def test_a_network_policy_lets_pictures_in_from_anywhere_and_nothing_out() -> None:
    spec = policy()
    assert spec["podSelector"]["matchLabels"] == SELECTOR
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert "egress" not in spec
    pictures, operations = spec["ingress"]
    assert pictures == {"ports": [{"port": "http", "protocol": "TCP"}]}
    assert operations == {"ports": [{"port": "ops", "protocol": "TCP"}], "from": [{"podSelector": {}}]}


def test_a_network_policy_names_peers_and_still_lets_helm_test_in() -> None:
    peer = {"ipBlock": {"cidr": "10.0.0.0/8"}}
    watcher = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    pictures, operations = policy(**{"from": [peer], "monitoringFrom": [watcher]})["ingress"]
    assert pictures["from"] == [peer, TEST_PEER]
    assert operations["from"] == [watcher, TEST_PEER]


def test_a_service_monitor_reads_each_pod_once() -> None:
    monitor = {"enabled": True, "interval": "30s", "labels": {"release": "p"}}
    given = values(monitoring__serviceMonitor=monitor)
    entry = one("ServiceMonitor", given)
    assert entry["metadata"]["labels"]["release"] == "p"
    assert entry["spec"]["endpoints"] == [{"port": "ops", "path": "/metrics", "interval": "30s"}]
    wanted = entry["spec"]["selector"]["matchLabels"]
    found = [
        port["name"]
        for candidate in of_kind("Service", given)
        if wanted.items() <= candidate["metadata"]["labels"].items()
        for port in candidate["spec"]["ports"]
    ]
    assert found.count("ops") == 1


def test_the_service_account_has_no_token() -> None:
    account = one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert pod()["spec"]["automountServiceAccountToken"] is False
    assert pod()["spec"]["serviceAccountName"] == "heliograph"


@pytest.mark.parametrize(
    ("account", "name", "made"),
    [
        ({"name": "pictures"}, "pictures", 1),
        ({"create": False}, "default", 0),
        ({"create": False, "name": "pictures"}, "pictures", 0),
    ],
    ids=str,
)
def test_which_service_account_pods_have(account: Values, name: str, made: int) -> None:
    given = {"serviceAccount": account}
    assert pod(given)["spec"]["serviceAccountName"] == name
    assert [entry["metadata"]["name"] for entry in of_kind("ServiceAccount", given)] == [name] * made


def test_annotations_of_the_service_account() -> None:
    given = values(serviceAccount__annotations={"a/b": "c"})
    assert one("ServiceAccount", given)["metadata"]["annotations"] == {"a/b": "c"}


def test_objects_of_ones_own_are_templates() -> None:
    written = {"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "{{ .Release.Name }}-a"}}
    text = 'apiVersion: v1\nkind: Widget\nmetadata: {name: {{ include "heliograph.fullname" . }}-b}\n'
    found = of_kind("Widget", {"extraObjects": [written, text]})
    assert [entry["metadata"]["name"] for entry in found] == ["heliograph-a", "heliograph-b"]
