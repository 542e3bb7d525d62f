"""Adapters that do not fit are refused in one line, with exit code 2, before a weight is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.cli.conftest import Invoke, Job
from tests.nla.model.adapters.trained import trained
from tests.tiny import tiny_checkpoint


@pytest.fixture
def adapter(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adapter over the job's target."""
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    trained(job.target, tmp_path / "tuned")
    return tmp_path / "tuned"


def _without_base(adapter: Path, job: Job) -> str:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": "../model"}))
    return str(adapter)


def _on_another(adapter: Path, job: Job) -> str:
    other = tiny_checkpoint("qwen2", adapter.parent / "other", config={"intermediate_size": 40})
    return f"{adapter} on {other}"


def _of_no_key(adapter: Path, job: Job) -> str:
    file = adapter / "adapter_model.safetensors"
    save_file({key.replace("layers", "stages"): one for key, one in load_file(file).items()}, file)
    return f"{adapter} on {job.target}"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_base, "an adapter over '../model', by its own files; .* ADAPTER on BASE"),
        (_on_another, "target: adapter: .* has 40 inputs; it was trained over another model"),
        (_of_no_key, "target: adapter: .* none of the adapter's 16 keys has a place in Qwen2ForCausalLM"),
    ],
)
def test_a_target_that_is_none(
    invoke: Invoke, job: Job, adapter: Path, spoil: Callable[[Path, Job], str], message: str
) -> None:
    target = spoil(adapter, job)
    refused = invoke("decode", job.config, f"models.target={target}").refused()
    assert re.search(message, refused), refused
    assert not job.output.exists() or not any(job.output.rglob("*.parquet"))
