"""A model that answers chats: what it must have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.errors import CheckpointError
from nla_ray.nla.generation.answering import Answerer


def test_without_a_chat_template_it_is_refused_before_weights_are_loaded(
    tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    directory = Path(shutil.copytree(checkpoint("qwen2"), tmp_path / "model"))
    (directory / "chat_template.jinja").unlink()
    (directory / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no chat template; take a model that was tuned for chat"):
        Answerer(directory)
