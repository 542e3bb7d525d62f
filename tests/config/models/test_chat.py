"""Of an endpoint's URL, what no connection could be made to is refused at once."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nla_ray.config.models.chat import ChatConfig


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "https://my_host.example/v1", "http://[::1]:80/v1", "http://bücher.de"],
)
def test_a_url_with_a_host(url: str) -> None:
    assert ChatConfig(base_url=url, model="m").base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b/v1",
        f"http://{'x' * 70}/v1",
        "http://h:99999/v1",
        "http://h:0",
        "http://[::1/v1",
        "http:///v1",
    ],
)
def test_a_url_that_names_no_host_or_port(url: str) -> None:
    with pytest.raises(ValidationError, match="a URL with a host name"):
        ChatConfig(base_url=url, model="m")
