"""`nla-ray train`: what a user sees when something is wrong, before anything is trained."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from nla_ray.cli import app
from nla_ray.errors import NlaError
from tests.cli.conftest import Invoke
from tests.runtime.processes import wait_until
from tests.train_tables import columns, train_values, write_set, write_split

NlaDirs = tuple[Path, Path, Path]


@pytest.fixture
def values(tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    return train_values(tmp_path, nla("qwen2")[0], write_set(tmp_path / "set"))


def refusal(tmp_path: Path, values: dict[str, Any], *overrides: str) -> str:
    config = tmp_path / "train.yaml"
    config.write_text(yaml.safe_dump(values))
    result = CliRunner().invoke(app, ["train", str(config), *overrides])
    assert isinstance(result.exception, NlaError) and result.exception.exit_code in (2, 7), result.output
    return str(result.exception)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.held_out=/nowhere", "/nowhere: there is no split held_out"),
        ("data.path=null", "data.ar_sft: nothing names this split"),
        ("stages.sft_av.lr=fast", "stages.sft_av.lr"),
        ("stages.sft_ar=null", "fidelity needs a reconstructor"),
        ("runner.workers=2", "the local runner is one process"),
        ("runner.rollouts.actors=2", "actors need name: ray"),
        ("saving.evaluate_every=3", "not a multiple of every 2"),
        ("target=null", "name the model that a new verbalizer or reconstructor starts as"),
        ("init.marker=ab", "is not one token"),
        ("upload=me/pair", "HF_TOKEN"),
        ("output=gs://bucket/x", "local folder or s3://"),
    ],
)
def test_one_line_says_what_is_wrong(
    tmp_path: Path, values: dict[str, Any], override: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert said in refusal(tmp_path, values, override)
    assert not (tmp_path / "out").exists()


@contextmanager
def interrupted_once(there: Callable[[], object]) -> Iterator[None]:
    """An interrupt reaches this process as soon as something is there, as Ctrl-C would.

    What was started in the background may ignore interrupts; this process does not.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        wait_until(there, "what to interrupt at")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    thread.join()
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_an_interrupted_training_says_where_it_goes_on(
    tmp_path: Path, values: dict[str, Any], invoke: Invoke
) -> None:
    config, saved = tmp_path / "train.yaml", tmp_path / "out" / "checkpoints" / "sft_ar"
    stages = {"sft_ar": values["stages"]["sft_ar"] | {"steps": 100}}
    config.write_text(yaml.safe_dump(values | {"stages": stages, "saving": {"every": 20}}))
    journal = tmp_path / "out" / "metrics.jsonl"
    # While nothing is being opened: Python may lose a file between opening it and the block that closes it.
    with interrupted_once(lambda: journal.exists() and journal.stat().st_size):
        first = invoke("train", config)
    assert first.code == 130 and first.err == (
        "stopped before the first checkpoint; run the same command again to start over\n"
    )
    with interrupted_once(lambda: any(saved.glob("*.json"))):
        second = invoke("train", config)
    step = max(int(path.name.split("-")[1]) for path in saved.glob("*.json"))
    at = f"the newest checkpoint is at step {step} of stage sft_ar"
    assert second.code == 130 and second.err == f"stopped; {at}; run the same command again to go on\n"
    dry = invoke("train", config, "--dry-run")
    assert f"goes on: from step {step} of stage sft_ar" in dry.out and "nothing was written" in dry.out
    third = invoke("train", config)
    assert third.code == 0 and f"sft_ar: going on from step {step}\n" in third.out
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "held_out"] == [0, 20, 40, 60, 80, 100]
    assert "trained before; nothing was done\n" in invoke("train", config).out


def test_a_dry_run_writes_nothing(tmp_path: Path, values: dict[str, Any], invoke: Invoke) -> None:
    config = tmp_path / "train.yaml"
    config.write_text(yaml.safe_dump(values))
    ended = invoke("train", config, "--dry-run")
    assert ended.code == 0 and not (tmp_path / "out").exists()
    assert "split ar_sft: 24 rows of 12 documents\n" in ended.out
    assert "stage sft_ar: 6 steps, 48 rows in all, " in ended.out
    assert "FLOPs without measurements" in ended.out


def test_vectors_of_another_width(tmp_path: Path, values: dict[str, Any]) -> None:
    values["data"] = {"path": str(write_set(tmp_path / "wide", d_model=48))}
    assert "vectors of 48 values" in refusal(tmp_path, values)


def test_an_empty_split(tmp_path: Path, values: dict[str, Any]) -> None:
    path = tmp_path / "empty" / "part.parquet"
    path.parent.mkdir()
    table = columns("av_sft", 2, 32, 0, "{injection_char}", "{explanation}")
    write_split(path, {name: column[:0] for name, column in table.items()}, "av_sft", 32, 2)
    assert "the split av_sft is empty" in refusal(tmp_path, values, f"data.av_sft={path}")


def test_a_pair_of_another_layer(
    tmp_path: Path, values: dict[str, Any], nla: Callable[[str], NlaDirs]
) -> None:
    values["data"] = {"path": str(write_set(tmp_path / "early", layer=1))}
    assert "layer 1, the AR has 2" in refusal(tmp_path, values, f"init.ar={nla('qwen2')[2]}")


def test_data_in_another_template(
    tmp_path: Path, values: dict[str, Any], nla: Callable[[str], NlaDirs]
) -> None:
    values["data"] = {"path": str(write_set(tmp_path / "other", ar="Say {explanation} again"))}
    assert "do not stand in the AR's template" in refusal(tmp_path, values, f"init.ar={nla('qwen2')[2]}")
