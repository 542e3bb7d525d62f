"""A small cluster of this machine: S3, a head without work, two workers, the job server, Prometheus."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import botocore.session
import yaml
from servers import HERE, Local, named_below

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "nla"
KEY, SECRET = "local", secrets.token_hex(16)
STORE_PORTS = [f"{part}.port{more}" for part in ("s3", "master", "volume", "filer") for more in ("", ".grpc")]
NODES = ("worker-1", "worker-2", "worker-3")
"""The third takes the place of one that is killed."""
PORTS = (*STORE_PORTS, "gcs", "jobs", "client", "head", *NODES, "prometheus")
NODE_CPUS = 2
"""One for an actor, one for planning."""


def environment_of(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """What all processes know: the cluster's token, the keys of the store, this code."""
    return dict(os.environ) | {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ENDPOINT_URL": f"http://{HERE}:{ports['s3.port']}",
        "AWS_REGION": "us-east-1",
        "NLA_RAY_CACHE": str(folder / "cache"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Else workers give way to everything else on this machine.
        "RAY_worker_niceness": "0",
    }


def store(local: Local) -> list[str]:
    """The command of an S3 server that knows one user."""
    user = {"accessKey": KEY, "secretKey": SECRET}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = {"identities": [{"name": KEY, "credentials": [user], "actions": actions}]}
    (local.folder / "identities.json").write_text(json.dumps(identities))
    (local.folder / "s3").mkdir()
    options = {
        "dir": local.folder / "s3",
        "ip": HERE,
        "ip.bind": HERE,
        "s3.ip.bind": HERE,
        "s3.config": local.folder / "identities.json",
        "s3.localSocket": local.folder / "s3.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "filer.localSocket": local.folder / "filer.sock",
        "master.volumeSizeLimitMB": 256,
        "master.telemetry": "false",
        "volume.max": 40,
    }
    options |= {name: local.ports[name] for name in STORE_PORTS}
    return ["weed", "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]


def node(local: Local, agent: str, *options: str) -> list[str]:
    """The command of a Ray node, which lives as long as its command."""
    return [
        "ray", "start", "--block", f"--node-ip-address={HERE}", "--disable-usage-stats",
        f"--dashboard-agent-listen-port={local.ports[agent]}", f"--object-store-memory={256 << 20}", *options,
    ]  # fmt: skip


def head(local: Local) -> list[str]:
    """The command of the head, which has the job server and takes no work."""
    ports = local.ports
    return node(
        local, "head", "--head", "--num-cpus=0", f"--port={ports['gcs']}", f"--dashboard-host={HERE}",
        f"--dashboard-port={ports['jobs']}", f"--ray-client-server-port={ports['client']}",
        f"--temp-dir={local.folder / 'ray'}",
    )  # fmt: skip


def prometheus(local: Local) -> list[str]:
    """The command of a Prometheus that finds the nodes by the file that Ray writes."""
    found = {"files": [str(local.folder / "ray" / "prom_metrics_service_discovery.json")]}
    config = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(ROOT / "infra" / "alerts" / "rules.yaml")],
        "scrape_configs": [{"job_name": "ray", "file_sd_configs": [found | {"refresh_interval": "5s"}]}],
    }
    (local.folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    return [
        "prometheus",
        f"--config.file={local.folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={local.folder / 'prometheus'}",
        f"--web.listen-address={HERE}:{local.ports['prometheus']}",
    ]


@dataclass
class Cluster:
    """What runs, for as long as the block lasts; `nodes` are the commands of the workers."""

    local: Local
    stack: ExitStack = field(default_factory=ExitStack)
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Cluster:
        try:
            self._serve("s3", "s3.port", store(self.local))
            self.bucket.create_bucket(Bucket=BUCKET)
            self._serve("head", "jobs", head(self.local))
            # Workers that join at the same moment may time out.
            for name in NODES[:2]:
                self.join(name)
            if shutil.which("prometheus"):
                self._serve("prometheus", "prometheus", prometheus(self.local))
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def join(self, name: str) -> None:
        """Start a worker."""
        options = (f"--address={HERE}:{self.local.ports['gcs']}", f"--num-cpus={NODE_CPUS}")
        self.nodes[name] = self._serve(name, name, node(self.local, name, *options))

    def kill_node(self, name: str) -> None:
        """SIGKILL to the raylet of a worker."""
        for pid in named_below(self.nodes[name].pid, "raylet"):
            os.kill(pid, signal.SIGKILL)

    @cached_property
    def bucket(self) -> Any:
        """A client of the S3 server."""
        return botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.local.url("s3.port"),
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def keys(self, prefix: str) -> list[str]:
        """Keys in the bucket."""
        pages = self.bucket.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def put(self, key: str, data: bytes) -> None:
        """Write an object of the bucket."""
        self.bucket.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """An object of the bucket."""
        data: bytes = self.bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return data

    def job(self, submission: str) -> dict[str, Any]:
        """What the job server says of a job."""
        token = self.local.environment["RAY_AUTH_TOKEN"]
        request = Request(
            f"{self.local.url('jobs')}/api/jobs/{submission}", headers={"Authorization": f"Bearer {token}"}
        )
        with urlopen(request, timeout=30) as answer:
            said: dict[str, Any] = json.load(answer)
        return said

    def metric(self, name: str) -> str | None:
        """The highest value that Prometheus heard of in the last hour; None without any."""
        if not shutil.which("prometheus"):
            return None
        query = quote(f"max(max_over_time({name}[1h]))")
        with urlopen(f"{self.local.url('prometheus')}/api/v1/query?query={query}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return str(found[0]["value"][1]) if found else None

    def _serve(self, name: str, port: str, command: list[str]) -> subprocess.Popen[bytes]:
        return self.stack.enter_context(self.local.server(name, port, *command))
