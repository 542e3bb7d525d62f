"""A week on this machine: S3, two Ray nodes, their job server and Prometheus; then all of it is ended.

`python infra/local/week.py FOLDER` runs the weekly job (infra/kubernetes/weekly/week.sh) on documents of the
demo world, and leaves logs, data and reports in FOLDER. It needs the development tools of this project;
Prometheus is left out where it is not installed.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote
from urllib.request import urlopen

import botocore.session
import typer
import yaml
from servers import HERE, Local, free_ports

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "nla"
KEY, SECRET = "local", secrets.token_hex(16)
STORE_PORTS = [f"{part}.port{more}" for part in ("s3", "master", "volume", "filer") for more in ("", ".grpc")]
PORTS = (*STORE_PORTS, "gcs", "jobs", "client", "agent-1", "agent-2", "prometheus")
METRICS = ("ray_nla_units_done", "ray_nla_units_left", "ray_nla_vectors_total", "ray_nla_fve_nrm")


def environment_of(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """What all processes know: the cluster's token, the keys of the store, where the job's things are."""
    return dict(os.environ) | {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ENDPOINT_URL": f"http://{HERE}:{ports['s3.port']}",
        "AWS_REGION": "us-east-1",
        "NLA_CONFIGS": str(ROOT / "infra" / "local"),
        "NLA_CORPUS": f"s3://{BUCKET}/chats",
        "NLA_JOBS": str(ROOT / "jobs"),
        "NLA_RAY_CACHE": str(folder / "cache"),
        "NLA_REPORTS": str(folder / "reports"),
        "NLA_TABLES": f"s3://{BUCKET}/weeks",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
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
        local, "agent-1", "--head", "--num-cpus=0", f"--port={ports['gcs']}", f"--dashboard-host={HERE}",
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


def put_corpus(local: Local, week: str, documents: int) -> None:
    """Documents of the demo world as the corpus of the week, in a bucket that is made for it."""
    corpus, job = local.folder / "corpus.jsonl", ROOT / "jobs" / "demo_documents.py"
    if code := local.run("python", str(job), f"--out={corpus}", f"--documents={documents}"):
        raise RuntimeError(f"{job} ended with {code}")
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=local.url("s3.port"),
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key=f"chats/{week}/corpus.jsonl", Body=corpus.read_bytes())


def say_metrics(local: Local) -> None:
    """The last that Prometheus heard of the run."""
    for name in METRICS:
        query = quote(f"max(last_over_time({name}[1h]))")
        with urlopen(f"{local.url('prometheus')}/api/v1/query?query={query}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        print(f"{name}: {found[0]['value'][1] if found else 'never heard of'}")


def main(
    folder: Annotated[Path | None, typer.Argument(help="A new folder; without it one below /tmp.")] = None,
    documents: Annotated[int, typer.Option(min=1, help="How many the corpus of the week has.")] = 100,
) -> None:
    """Run the job of this week on a cluster of this machine; ends with the code of `ray job submit`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    place = Path(tempfile.mkdtemp(prefix="nla-")) if folder is None else folder.absolute()
    place.mkdir(parents=True, exist_ok=True)
    ports = free_ports(PORTS)
    local = Local(place, ports, environment_of(place, ports))
    week = datetime.now(UTC).strftime("%G-W%V")
    with ExitStack() as stack:
        stack.enter_context(local.server("s3", "s3.port", *store(local)))
        put_corpus(local, week, documents)
        stack.enter_context(local.server("head", "jobs", *head(local)))
        worker = node(local, "agent-2", f"--address={HERE}:{ports['gcs']}", "--num-cpus=2")
        stack.enter_context(local.server("worker", "agent-2", *worker))
        watched = shutil.which("prometheus") is not None
        if watched:
            stack.enter_context(local.server("prometheus", "prometheus", *prometheus(local)))
        script = str(ROOT / "infra" / "kubernetes" / "weekly" / "week.sh")
        code = local.run("ray", "job", "submit", f"--address={local.url('jobs')}", "--", "bash", script, week)
        if watched:
            say_metrics(local)
    print(f"the job of {week} ended with {code}; reports and logs are in {place}")
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
