"""Clients of S3 through the configuration and credentials that AWS tools use; they hold secrets."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.loaders
import botocore.session
from botocore.config import Config


def new_session() -> Any:
    """What finds the configuration and the credentials, anew."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(data_path: str | None) -> Any:
    """The description of S3's interface, which is slow to read, once for all clients."""
    return botocore.loaders.create_loader(data_path)


def connected(session: Any, **options: Any) -> Any:
    """A client; other servers than AWS are addressed by path, unless the user's configuration says how."""
    client = session.create_client("s3", config=Config(**options))
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    chosen = (session.get_scoped_config().get("s3") or {}).get("addressing_style")
    if chosen or host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return client
    return session.create_client("s3", config=Config(**options, s3={"addressing_style": "path"}))
