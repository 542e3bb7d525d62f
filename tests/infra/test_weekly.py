"""The weekly job: what the CronJob sends to Kubernetes, and that the job takes it."""

from __future__ import annotations

import runpy
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from nla_ray.config.loading.load import load
from nla_ray.config.sweep import SweepConfig
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
    assert body["spec"]["entrypoint"].endswith("/etc/nla-weekly/sweep.yaml --week 2026-W53")
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


def command_of(text: str) -> tuple[str, list[str]]:
    """The job that a RayJob runs, as a file of this repository, and its arguments."""
    python, job, *arguments = yaml.safe_load(text)["spec"]["entrypoint"].split()
    assert python == "python"
    return job.replace("/app/", f"{ROOT}/"), arguments


def parsed(job: str, arguments: list[str]) -> dict[str, Any]:
    """The options of a job, by its own command line. Raises where it does not take them."""
    app = runpy.run_path(job)["app"]
    return get_command(app).make_context(Path(job).name, list(arguments)).params


def swept(text: str) -> tuple[SweepConfig, str]:
    """What a RayJob sweeps, and its week: its options as the job reads them, its files as mounted."""
    options = parsed(*command_of(text))
    config = options["config"].replace("/etc/nla-weekly", str(WEEKLY))
    return load(SweepConfig, config, options["overrides"] or ()), options["week"]


def test_the_job_takes_what_the_week_gives_it() -> None:
    made = RAYJOB.replace("{week}", "2026-W48")
    config, week = swept(made)
    assert week == "2026-W48" and config.runner.name == "ray"
    decoding = config.decoding(config.targets[0], config.corpora[0], week, config.root)
    assert (
        decoding.corpus.paths == ("s3://my-bucket/chats/2026-W48/",) and config.root == "s3://my-bucket/nla"
    )
    (group,) = yaml.safe_load(made)["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    there, pool = group["template"]["spec"]["containers"][0]["resources"]["limits"], config.runner.pool
    assert pool.gpus == float(there["nvidia.com/gpu"]) and pool.cpus < float(there["cpu"])
    assert pool.actors * config.targets_at_once == group["maxReplicas"]


@pytest.mark.parametrize(
    ("was", "planted", "caught"),
    [
        ("--config", "--configs", "No such option"),
        ("--week {week}", "--week", "requires an argument"),
        ("weekly_sweep.py", "week.py", "week.py"),
        ("/sweep.yaml", "/sweeps.yaml", "sweeps.yaml"),
        ("--week {week}", "--week {week} audit.fail_on=always", "fail_on"),
    ],
)
def test_a_planted_error_in_the_entrypoint_is_caught(was: str, planted: str, caught: str) -> None:
    assert was in RAYJOB
    with pytest.raises(Exception, match=caught):
        swept(RAYJOB.replace(was, planted))
