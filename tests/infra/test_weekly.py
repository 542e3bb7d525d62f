"""The weekly job: what the CronJob sends to Kubernetes, and what the job of a week does."""

from __future__ import annotations

import os
import runpy
import subprocess
from datetime import datetime
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from nla_ray.config.audit import AuditConfig
from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load
from tests.infra.api import api  # noqa: F401 (fixture)

ROOT = Path(__file__).parents[2]
WEEKLY = ROOT / "infra" / "kubernetes" / "weekly"
SUBMIT = WEEKLY / "submit.py"
RAYJOB = (WEEKLY / "rayjob.yaml").read_text(encoding="utf-8")


def submitted(
    server: HTTPServer, account: Path, monkeypatch: pytest.MonkeyPatch, week: str, script: Path = SUBMIT
) -> int:
    """Exit code of submit.py as the pod runs it."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    main = runpy.run_path(str(script))["main"]
    main.__globals__["ACCOUNT"] = account
    return int(main([week]))


def test_a_week_is_submitted_once(
    api: tuple[HTTPServer, Path],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for said in ("nla-2026-w53 was created", "nla-2026-w53 is there already: nothing was done"):
        assert submitted(*api, monkeypatch, "2026-W53") == 0
        assert said in capsys.readouterr().out
    path, authorization, body = api[0].RequestHandlerClass.seen[0]  # type: ignore[attr-defined]
    assert path == "/apis/ray.io/v1/namespaces/nla-ray/rayjobs" and authorization == "Bearer who-i-am"
    assert body["spec"]["entrypoint"] == "bash /etc/nla-weekly/week.sh 2026-W53"
    assert body["metadata"]["labels"]["nla-ray/week"] == "2026-W53"


def test_what_kubernetes_refuses_is_told(
    api: tuple[HTTPServer, Path],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in (
        ("submit.py", SUBMIT.read_text()),
        ("rayjob.yaml", RAYJOB.replace("Limit: 0", "Limit: 2")),
    ):
        (tmp_path / name).write_text(text)
    assert submitted(*api, monkeypatch, "2026-W48", tmp_path / "submit.py") == 2
    assert "2026-W48 was refused (422): a failure that stays" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["2026-W54", "2025-W53", "2026-W5", "2026-11-29", "W48", "2026-W48; rm -rf /"]
)
def test_what_is_no_week_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert runpy.run_path(str(SUBMIT))["main"]([text]) == 2
    assert "is no ISO week; write it as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("monday", "week"),
    [("2026-11-30", "2026-W48"), ("2027-01-04", "2026-W53"), ("2025-12-29", "2025-W52")],
)
def test_a_monday_means_the_week_that_ended(monday: str, week: str) -> None:
    script = runpy.run_path(str(SUBMIT))
    assert script["week_of"](datetime.fromisoformat(f"{monday}T06:00:00+00:00")) == week
    assert script["is_week"](week)


def asked(folder: Path, *codes: int) -> tuple[int, list[list[str]]]:
    """What week.sh asks the jobs for, which end with these codes; and its own code."""
    python, log = folder / "python", folder / "log"
    python.write_text(
        f'#!/usr/bin/env bash\nprintf "%s\\t" "$@" >>{log}; echo >>{log}\n'
        f"codes=({' '.join(map(str, codes))})\nexit ${{codes[$(wc -l <{log})-1]}}\n"
    )
    python.chmod(0o755)
    (head,) = yaml.safe_load(RAYJOB)["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"][
        "containers"
    ]
    places = {one["name"]: one["value"] for one in head["env"]} | {"NLA_JOBS": str(ROOT / "jobs")}
    run = subprocess.run(
        ["bash", str(WEEKLY / "week.sh"), "2026-W48"],
        env=places | {"PATH": f"{folder}:{os.environ['PATH']}"},
        check=False,
    )
    return run.returncode, [line.rstrip("\t").split("\t") for line in log.read_text().splitlines()]


@pytest.mark.parametrize(
    ("codes", "code", "jobs"),
    [((0, 0), 0, 2), ((6, 0), 6, 2), ((3, 0), 3, 1), ((137, 0), 137, 1), ((0, 5), 5, 2), ((6, 4), 4, 2)],
)
def test_a_week_is_audited_if_it_was_committed(
    tmp_path: Path, codes: tuple[int, ...], code: int, jobs: int
) -> None:
    ended, lines = asked(tmp_path, *codes)
    assert (ended, len(lines)) == (code, jobs)


def test_the_jobs_take_what_the_week_gives_them(tmp_path: Path) -> None:
    _, ((decode, *options), (audit, *others)) = asked(tmp_path, 0, 0)
    decoding = parsed(decode, options)
    config = load(DecodeConfig, decoding["config"], decoding["overrides"])
    assert (
        config.corpus.paths == ("s3://my-bucket/chats/2026-W48/",)
        and config.output == "s3://my-bucket/nla/weeks/2026-W48"
    )
    auditing = parsed(audit, others)
    audited = load(AuditConfig, auditing["config"], auditing["overrides"])
    assert audited.source.tables == config.output and audited.output == "/reports/2026-W48"
    (group,) = yaml.safe_load(RAYJOB)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    there, pool = group["template"]["spec"]["containers"][0]["resources"]["limits"], config.runner.pool
    assert pool.gpus == float(there["nvidia.com/gpu"]) and pool.cpus < float(there["cpu"])
    assert pool.actors == group["maxReplicas"]


def parsed(job: str, arguments: list[str]) -> dict[str, Any]:
    """The options of a job, by its own command line. Raises where it does not take them."""
    app = runpy.run_path(job)["app"]
    return get_command(app).make_context(Path(job).name, list(arguments)).params


@pytest.mark.parametrize("planted", ["--configs", "--week=2026-W48"])
def test_an_option_that_a_job_does_not_have_is_caught(planted: str) -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed(str(ROOT / "jobs" / "decode_corpus.py"), [planted, "x"])
