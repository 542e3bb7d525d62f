"""The manifests are what Kubernetes and KubeRay know, keep the project's rules, and fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.manifests import Manifest, problems

KUBERNETES = Path(__file__).parents[2] / "infra" / "kubernetes"
WEEKLY = KUBERNETES / "weekly"
KUSTOMIZATION = yaml.safe_load((WEEKLY / "kustomization.yaml").read_text(encoding="utf-8"))
APPLIED = [
    *(f"weekly/{name}" for name in KUSTOMIZATION["resources"]),
    "weekly/rayjob.yaml",
    "development.yaml",
]


def manifests(text: str) -> Iterator[Manifest]:
    yield from yaml.safe_load_all(text.replace("{name}", "nla-2026-w48").replace("{week}", "2026-W48"))


def text_of(name: str) -> str:
    return (KUBERNETES / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", APPLIED)
def test_a_manifest_is_sound(name: str) -> None:
    for made in manifests(text_of(name)):
        assert problems(made) == []
        assert made["kind"] == "Namespace" or made["metadata"]["namespace"] == KUSTOMIZATION["namespace"]


@pytest.mark.parametrize(
    ("name", "was", "planted", "caught"),
    [
        ("weekly/namespace.yaml", "metadata:", "metadatas:", "metadatas"),
        ("weekly/access.yaml", "verbs: [create]", "verb: [create]", "verb"),
        ("weekly/access.yaml", "automountServiceAccountToken: false", "automount: false", "automount"),
        ("weekly/network.yaml", "policyTypes", "policyType", "policyType"),
        ("weekly/network.yaml", "port: 8265", "port: [8265]", "8265"),
        ("weekly/cronjob.yaml", "Forbid", "Allow", "two weeks"),
        ("weekly/cronjob.yaml", "startingDeadlineSeconds", "startingDeadline", "startingDeadline"),
        ("weekly/cronjob.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "root"),
        ("weekly/cronjob.yaml", "runAsUser: 1000", "runAsUser: 0", "root"),
        ("weekly/cronjob.yaml", "nla-ray:0.1.0-cpu", "nla-ray", "not pinned"),
        ("weekly/cronjob.yaml", "nla-ray:0.1.0-cpu", "nla-ray:latest", "not pinned"),
        ("weekly/cronjob.yaml", "{cpu: 500m, memory: 256Mi}", "{cpu: 500m}", "limits of memory"),
        ("weekly/cronjob.yaml", "part-of: nla-ray", "part-of: nla", "network policy"),
        ("weekly/cronjob.yaml", "automountServiceAccountToken: true", "hostNetwork: false", "speak to"),
        ("weekly/rayjob.yaml", "rayClusterSpec", "rayCluster", "rayCluster"),
        ("weekly/rayjob.yaml", "maxReplicas: 8", "maxReplica: 8", "maxReplica"),
        ("weekly/rayjob.yaml", 'requests: {cpu: "8",', "requests: {", "requests of cpu"),
        ("weekly/rayjob.yaml", "drop: [ALL]", "add: [SYS_ADMIN]", "more rights"),
        ("weekly/rayjob.yaml", "replicas: 0", "replicas: 2", "wait for work"),
        ("weekly/rayjob.yaml", 'num-cpus: "0"', 'num-cpus: "4"', "on the head"),
        ("weekly/rayjob.yaml", "mode: token", "mode: disabled", "anybody"),
        ("weekly/rayjob.yaml", "mode: token", "mode: tokens", "tokens"),
        ("weekly/rayjob.yaml", "backoffLimit: 0", "backoffLimit: 3", "buy clusters"),
        ("weekly/rayjob.yaml", "activeDeadlineSeconds: 432000", "suspend: false", "no deadline"),
        ("weekly/rayjob.yaml", "jobStatus: FAILED", "jobStatus: STOPPED", "STOPPED"),
        ("weekly/rayjob.yaml", "jobStatus: FAILED", "jobStatus: SUCCEEDED", "after FAILED"),
        ("weekly/rayjob.yaml", "ttlSeconds: 2592000", "ttlSeconds: 5", "before its cluster"),
        ("weekly/rayjob.yaml", "policy: DeleteCluster", "policy: DeleteWorkers", "scales itself"),
        ("weekly/rayjob.yaml", "name: AWS_REGION", "name: AWS_SECRET_ACCESS_KEY", "credential"),
        ("weekly/rayjob.yaml", "{name}", "weekly-2026-W48", "no name"),
        ("development.yaml", "groupName", "group", "group"),
        ("development.yaml", "seccompProfile: {type: RuntimeDefault}", "supplementalGroups: []", "seccomp"),
    ],
)  # fmt: skip
def test_a_planted_error_is_caught(name: str, was: str, planted: str, caught: str) -> None:
    assert was in text_of(name)
    found = [said for made in manifests(text_of(name).replace(was, planted)) for said in problems(made)]
    assert any(caught in said for said in found), found


def test_every_file_is_applied_or_mounted() -> None:
    (mounted,) = KUSTOMIZATION["configMapGenerator"]
    named = {"kustomization.yaml", *KUSTOMIZATION["resources"], *mounted["files"]}
    assert named == {path.name for path in WEEKLY.iterdir() if path.is_file()}
    assert KUSTOMIZATION["generatorOptions"] == {"disableNameSuffixHash": True}, "rayjob.yaml names it too"


def values_of(made: Any, key: str) -> Iterator[Any]:
    """Every value of a key, wherever it lies."""
    for name, value in made.items() if isinstance(made, dict) else enumerate(made):
        if name == key:
            yield value
        if isinstance(value, dict | list):
            yield from values_of(value, key)


def test_what_manifests_name_is_there() -> None:
    made = [one for name in APPLIED for one in manifests(text_of(name))]
    there = {(one["kind"], one["metadata"]["name"]) for one in made}
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    there.add(("ConfigMap", generated["name"]))
    named = {("ServiceAccount", name) for name in values_of(made, "serviceAccountName")}
    named |= {("ConfigMap", one["name"]) for one in values_of(made, "configMap")}
    assert named <= there and len(named) == 3
    runbook = (KUBERNETES.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    (secret,) = set(values_of(made, "secretName"))
    assert f"kubectl --namespace nla-ray create secret generic {secret} --from-file=auth_token=" in runbook


def test_mounted_files_lie_where_the_commands_look_for_them() -> None:
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    for name in ("weekly/cronjob.yaml", "weekly/rayjob.yaml"):
        assert set(re.findall(r"/etc/nla-weekly/(\S+?)[\],\s]", text_of(name))) <= set(generated["files"])
        assert "{name: weekly, mountPath: /etc/nla-weekly, readOnly: true}" in text_of(name)


def test_every_node_has_a_port_for_prometheus() -> None:
    for name in ("weekly/rayjob.yaml", "development.yaml"):
        nodes = list(values_of(list(manifests(text_of(name))), "rayStartParams"))
        assert [node["metrics-export-port"] for node in nodes] == ["8080", "8080"]
        ports = list(values_of(list(manifests(text_of(name))), "ports"))
        assert ports == [[{"name": "metrics", "containerPort": 8080}]] * 2


def test_the_submitter_may_create_rayjobs_and_nothing_else() -> None:
    roles = [one for one in manifests(text_of("weekly/access.yaml")) if one["kind"] == "Role"]
    assert [role["rules"] for role in roles] == [
        [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}]
    ]
