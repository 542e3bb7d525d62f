"""Sampling settings; the engines are held to `verbalizer_contract` in `engines/`."""

from __future__ import annotations

import pytest

from nla_ray.errors import ConfigError
from nla_ray.nla.verbalizer import Sampling


@pytest.mark.parametrize(
    "bad", [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"max_new_tokens": 0}]
)
def test_sampling_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Sampling(**bad)  # type: ignore[arg-type]
