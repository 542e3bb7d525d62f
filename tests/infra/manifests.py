"""What is wrong with a Kubernetes manifest: fields that nobody knows, and rules of this project."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

Manifest = dict[str, Any]

VERSION = "1.34"
"""Of Kubernetes; KubeRay's own kinds are checked against the schemas beside this file."""

KUBERAY = json.loads((Path(__file__).parent / "schemas" / "kuberay.json").read_text(encoding="utf-8"))
PART = {"app.kubernetes.io/part-of": "nla-ray"}
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
IMAGE = re.compile(r"[\w./-]+(:(?!latest)[\w.-]+|@sha256:[0-9a-f]{64})")
NAME_LENGTH = 47
"""The longest name of a RayJob."""

AGES = ("DeleteCluster", "DeleteSelf")
"""What deletion rules may do with a cluster that scales itself, in the order in which it must happen."""


def problems(made: Manifest) -> list[str]:
    """All that is wrong with a manifest, in words; of one with wrong fields, only those."""
    found = list(wrong_fields(made))
    if found:
        return found
    spec = made.get("spec", {})
    for template in pod_templates(made):
        found += wrong_pod(template)
    if made["kind"] == "CronJob" and spec.get("concurrencyPolicy") != "Forbid":
        found.append("two weeks may run at once")
    if made["kind"] == "RayJob":
        found += wrong_rayjob(made)
    if made["kind"] in ("RayJob", "RayCluster"):
        found += wrong_cluster(spec.get("rayClusterSpec", spec))
    return found


def wrong_fields(made: Manifest) -> Iterator[str]:
    """What the schemas refuse."""
    if made["apiVersion"].startswith("ray.io/"):
        schema = KUBERAY | {"$ref": f"#/$defs/{made['kind']}"}
        for error in jsonschema.Draft202012Validator(schema).iter_errors(made):
            yield f"{error.json_path}: {error.message}"
        return
    try:
        kubernetes_validate.validate(made, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield error.message


def pod_templates(value: Any) -> Iterator[Manifest]:
    """Every pod template in a manifest, wherever it lies."""
    if isinstance(value, dict):
        if isinstance(value.get("spec"), dict) and "containers" in value["spec"]:
            yield value
        for inner in value.values():
            yield from pod_templates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pod_templates(inner)


def wrong_pod(template: Manifest) -> Iterator[str]:
    """What keeps a pod from our namespace, or from behind our network policy."""
    spec = template["spec"]
    if not template.get("metadata", {}).get("labels", {}).items() >= PART.items():
        yield "the network policy does not know the pod"
    user = spec.get("securityContext", {})
    if not user.get("runAsNonRoot") or not user.get("runAsUser"):
        yield "the pod may run as root"
    if user.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "the pod has no seccomp profile"
    if "automountServiceAccountToken" not in spec:
        yield "it is open whether the pod may speak to Kubernetes"
    for container in spec["containers"]:
        yield from wrong_container(container)


def wrong_container(container: Manifest) -> Iterator[str]:
    """The same for a container."""
    name = container["name"]
    if not IMAGE.fullmatch(container.get("image", "")):
        yield f"{name}: the image is not pinned"
    for kind in ("requests", "limits"):
        missing = {"cpu", "memory"} - container.get("resources", {}).get(kind, {}).keys()
        if missing:
            yield f"{name}: no {kind} of {', '.join(sorted(missing))}"
    rights = container.get("securityContext", {})
    if rights.get("allowPrivilegeEscalation") is not False or rights.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{name}: has more rights than it needs"
    for one in container.get("env", ()):
        if re.search("KEY|SECRET|TOKEN|PASSWORD", one["name"]) and "value" in one:
            yield f"{name}: {one['name']} is a credential in the manifest"


def wrong_rayjob(made: Manifest) -> Iterator[str]:
    """What the operator would refuse although the schema allows it, and what would cost money for nothing."""
    name, spec = made["metadata"]["name"], made["spec"]
    if len(name) > NAME_LENGTH or not DNS_LABEL.fullmatch(name):
        yield f"{name!r} is no name of a RayJob"
    if spec.get("backoffLimit") != 0:
        yield "a failure that stays would buy clusters again"
    if not spec.get("activeDeadlineSeconds"):
        yield "the job has no deadline"
    if spec.get("shutdownAfterJobFinishes"):
        yield "deletion rules exclude shutdownAfterJobFinishes"
    yield from wrong_deletion(spec)


def wrong_deletion(spec: Manifest) -> Iterator[str]:
    """Clusters that would stay, and rules that the operator would refuse."""
    ages: dict[tuple[str, str], dict[str, int]] = {}
    for rule in spec.get("deletionStrategy", {}).get("deletionRules", ()):
        condition = dict(rule["condition"])
        seconds = condition.pop("ttlSeconds", 0)
        if rule["policy"] not in AGES:
            yield f"{rule['policy']} does not go with a cluster that scales itself"
        for ended in condition.items():
            ages.setdefault(ended, {})[rule["policy"]] = seconds
    for ended in (("jobStatus", "SUCCEEDED"), ("jobStatus", "FAILED"), ("jobDeploymentStatus", "Failed")):
        if "DeleteCluster" not in ages.get(ended, {}):
            yield f"the cluster stays after {ended[1]}"
    if any(age.get(AGES[1], 1 << 40) < age.get(AGES[0], 0) for age in ages.values()):
        yield "the RayJob goes before its cluster"


def wrong_cluster(spec: Manifest) -> Iterator[str]:
    """Rules for every cluster: a head without work, a token, and no GPU that waits for work."""
    if spec["headGroupSpec"].get("rayStartParams", {}).get("num-cpus") != "0":
        yield "work may be placed on the head"
    auth = spec.get("authOptions", {})
    if auth.get("mode") != "token" or not auth.get("secretName"):
        yield "the cluster takes work from anybody"
    for group in spec.get("workerGroupSpecs", ()):
        if "nvidia.com/gpu" in json.dumps(group) and (group["replicas"], group["minReplicas"]) != (0, 0):
            yield f"GPUs of group {group['groupName']} wait for work"
