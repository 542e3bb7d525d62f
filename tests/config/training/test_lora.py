"""Adapters in a configuration: which layers get one."""

from __future__ import annotations

from typing import Any

import pytest

from nla_ray.config.loading.load import given
from nla_ray.config.training.lora import Lora
from nla_ray.errors import ConfigError


@pytest.mark.parametrize(
    ("said", "example"),
    [("q_proj", r"\[q_proj\]"), ("[]", r"\[q_proj, v_proj\]"), ("3", r"\[q_proj, v_proj\]")],
)
def test_what_is_no_list_of_layers_is_refused_with_one(said: Any, example: str) -> None:
    with pytest.raises(ConfigError, match=rf"targets: all-linear, or a list of names such as {example}"):
        given(Lora, [f"targets={said}"])
    assert given(Lora, ["targets=[q_proj]"]).targets == ("q_proj",)
