"""From references to directories."""

from __future__ import annotations

import os
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.pairs.known import named_pairs
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.view import Layers, layers_of
from nla_ray.nla.model.resolve import base_of, local_directory, released_id, resolve


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No hub, and an empty download cache; returns its directory."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def cache_snapshot(cache: Path, repo: str, files: list[str], commit: str = "c" * 40) -> Path:
    """Lay out a download in the hub's cache by hand."""
    root = cache / f"models--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    for file in files:
        path = root / "snapshots" / commit / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root / "snapshots" / commit


def test_a_directory_and_its_sub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pair" / "av").mkdir(parents=True)
    assert resolve(ModelRef.parse(f"{tmp_path}/pair")) == tmp_path / "pair"
    assert resolve(ModelRef.parse(f"{tmp_path}/pair#av")) == tmp_path / "pair" / "av"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve(ModelRef.parse("~/pair#av")) == tmp_path / "pair" / "av"


@pytest.mark.parametrize("part", ["target", "av", "ar"])
def test_the_demo_pair_is_in_the_package(part: str) -> None:
    assert resolve(ModelRef.parse(f"demo:{part}")).parts[-4:] == ("nla_ray", "demo", "pair", part)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("./missing", "no such directory"),
        ("/a/b/c", "no such directory"),
        ("{here}/nope#av", "no such directory"),
        ("{here}#nope", "is not a directory"),
        ("{here}/file", "is not a directory"),
        ("{here}@main", "has no revisions"),
        ("demo:judge", "demo:target, demo:av, demo:ar, demo:av-sft"),
        ("demo:av@main", "demo:target, demo:av, demo:ar, demo:av-sft"),
        ("qwen2.5-7b:judge", "unknown name"),
        ("gpt-99:av", "unknown name"),
        ("two words", "neither a directory nor a hub id"),
        ("~nobody-of-this-name/av", "no such directory"),
        ("long" * 2000, "neither a directory nor a hub id"),
        ("owner/name", "the hub cannot be reached"),
        ("owner/name@main#av", "the hub cannot be reached"),
        ("qwen2.5-7b:av", "the hub cannot be reached"),
    ],
)
def test_refusals_are_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "file").touch()
    text = text.format(here=tmp_path)
    with pytest.raises(CheckpointError) as caught:
        resolve(ModelRef.parse(text))
    message = str(caught.value)
    assert message.startswith(text)
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["config.json", "adapter_config.json", "nla_meta.yaml", "tokenizer.json"])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=rf"{name} is a pipe, a socket or a device"):
        resolve(ModelRef(path=str(tmp_path)))
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=rf"{name} is a pipe, a socket or a device"):
        resolve(ModelRef(path=str(tmp_path)))


def test_what_was_downloaded_before_is_used(offline: Path) -> None:
    snapshot = cache_snapshot(offline, "owner/pairs", ["av/config.json", "ar/config.json"])
    assert resolve(ModelRef.parse("owner/pairs#av")) == snapshot / "av"
    assert resolve(ModelRef.parse(f"owner/pairs@{'c' * 40}#ar"), weights=False) == snapshot / "ar"
    with pytest.raises(CheckpointError, match="owner/pairs has no folder 'judge'"):
        resolve(ModelRef.parse("owner/pairs#judge"))


def test_released_pairs_load_by_name(offline: Path) -> None:
    snapshot = cache_snapshot(offline, named_pairs()["qwen2.5-7b"].av[0], ["config.json"])
    assert local_directory(ModelRef.parse("qwen2.5-7b:av")) is None
    assert resolve(ModelRef.parse("qwen2.5-7b:av")) == snapshot


def test_an_adapter_of_a_known_pair_sits_on_what_the_table_says(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "views"))
    files = ["rl_av_lora_iter400/adapter_config.json", "rl_av_lora_iter400/adapter_model.safetensors"]
    snapshot = cache_snapshot(offline, "ceselder/nla-qwen36-27b-matryoshka", files)
    save_file({"a": torch.zeros(1)}, snapshot / files[1])
    base = cache_snapshot(offline, "Qwen/Qwen3.6-27B", ["config.json"])
    ref = ModelRef.parse("ceselder/nla-qwen36-27b-matryoshka#rl_av_lora_iter400")
    assert layers_of(resolve(ref)) == Layers(snapshot / "rl_av_lora_iter400", base)
    assert base_of(ref) == ModelRef(path="Qwen/Qwen3.6-27B")


def test_released_ids() -> None:
    assert released_id("qwen2.5-7b:ar") == "kitft/nla-qwen2.5-7b-L20-ar"
    assert released_id("owner/name") == "owner/name"
    for name in named_pairs():
        assert all(released_id(f"{name}:{part}").count("/") == 1 for part in ("target", "av", "ar"))
