"""Create the RayJob of a week: the one that ended yesterday, or `submit.py YYYY-Www`.

A RayJob is named after its week, so Kubernetes refuses a second one; that counts as done.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from nla_ray.errors import ConfigError
from nla_ray.fleet.weeks import named_week

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXISTS = 409


def rayjob_of(week: str, template: Path) -> dict[str, Any]:
    """The RayJob of a week."""
    text = template.read_text(encoding="utf-8")
    made: dict[str, Any] = yaml.safe_load(
        text.replace("{name}", f"nla-{week.lower()}").replace("{week}", week)
    )
    return made


def create(rayjob: dict[str, Any], server: str, account: Path) -> str:
    """Create it at the Kubernetes API; returns what came of that. Raises HTTPError where it is refused."""
    name, namespace = rayjob["metadata"]["name"], rayjob["metadata"]["namespace"]
    request = Request(
        f"{server}/apis/ray.io/v1/namespaces/{namespace}/rayjobs",
        data=json.dumps(rayjob).encode(),
        headers={
            "Authorization": f"Bearer {(account / 'token').read_text().strip()}",
            "Content-Type": "application/json",
        },
    )
    trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
    try:
        urlopen(request, timeout=30, context=trusted).close()
    except HTTPError as error:
        if error.code != EXISTS:
            raise
        return f"RayJob {name} is there already: nothing was done"
    return f"RayJob {name} was created"


def main(arguments: list[str]) -> int:
    """Exit code: 0 where the RayJob is there now, 2 where it was refused, and for what is no week."""
    try:
        week = named_week(arguments[0] if arguments else None)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        print(create(rayjob_of(week, Path(__file__).with_name("rayjob.yaml")), server, ACCOUNT))
    except HTTPError as error:
        said = error.read().decode(errors="replace")[:500]
        print(f"error: the RayJob of {week} was refused ({error.code}): {said}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
