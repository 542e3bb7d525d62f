"""What no part of nla_ray does to tables: change or remove what was written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.store.conftest import client_of

Spoil = Callable[[bytes], bytes | None]


def replace(place: str, key: str, data: bytes | None) -> None:
    """Change an object, or remove it (None)."""
    if not place.startswith("s3://"):
        path = Path(place) / key
        path.unlink() if data is None else path.write_bytes(data)
        return
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    client = client_of(os.environ["AWS_ENDPOINT_URL"])
    where = {"Bucket": bucket, "Key": f"{prefix}/{key}"}
    if data is None:
        client.delete_object(**where)
    else:
        client.put_object(**where, Body=data)


def flipped(data: bytes) -> bytes:
    middle = len(data) // 3
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def edited(**changes: object) -> Spoil:
    return lambda data: json.dumps(json.loads(data) | changes, sort_keys=True).encode()


def gone(_: bytes) -> None:
    return None
