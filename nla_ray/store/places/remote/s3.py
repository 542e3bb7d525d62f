"""A prefix of an S3 bucket with write-once objects: one conditional PUT each, retried without doubt."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from nla_ray.errors import InputError, NoFileError, UnreachableError
from nla_ray.store.places.cache import cached, keep
from nla_ray.store.places.folder import require_digest
from nla_ray.store.places.objects import Listed, Store, require_key, require_prefix
from nla_ray.store.places.remote.client import connected, new_session

T = TypeVar("T")

ATTEMPTS = 6
"""Tries of one PUT that other writers or the store's own work get in the way of."""

_HASTY = {"connect_timeout": 5, "read_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 2}}
"""For the first request, which tells a wrong or dead endpoint from one that has a bad moment."""

_PATIENT = {"connect_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 6}}

_ATTEMPT, _SHA256 = "nla-attempt", "nla-sha256"
_CHUNK = 1 << 20
_BROKEN = (FlexibleChecksumError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_PASSING = (ConnectionError, HTTPClientError, *_BROKEN)
_ABSENT, _CONFLICT, _EXISTS, _BUSY, _SERVER, _LACKING = 404, 409, 412, 429, 500, 501
_NO_BUCKET = "the bucket does not exist; create it or correct the URL"
_DENIED = (
    "access denied; the identity needs s3:ListBucket, s3:GetObject, to write s3:PutObject, "
    "and to remove s3:DeleteObject"
)
_EXPIRED = "the credentials have expired; log in again"
_ADVICE = {
    "NoSuchBucket": _NO_BUCKET,
    "404": _NO_BUCKET,
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": "the access key is not known here; check credentials and endpoint",
    "SignatureDoesNotMatch": "the secret key does not fit the access key; check credentials and endpoint",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InternalError": "the server failed several times, perhaps for want of space; run again later",
    "InvalidToken": "the session token is not valid here; log in again",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "NotImplemented": "this store cannot write conditionally (If-None-Match); use another store, or allow it "
    "by name (overwrites: true)",
}


class S3Store(Store):
    """Objects below `s3://bucket/prefix`, through the configuration and credentials that AWS tools use."""

    threads = 16

    def __init__(self, bucket: str, prefix: str, *, overwrites: bool = False) -> None:
        super().__init__(f"s3://{bucket}/{prefix}".rstrip("/"), overwrites=overwrites)
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._reached = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._bucket, self._root.rstrip("/"), self.overwrites)

    @cached_property
    def _client(self) -> Any:
        session = new_session()
        if not self._reached:
            self._reach(connected(session, **_HASTY))
        return connected(session, **_PATIENT, max_pool_connections=self.threads)

    def _reach(self, client: Any) -> None:
        """See that the endpoint answers and has the bucket, which some servers make at the first write."""
        try:
            client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _status(error) == _ABSENT:
                raise NoFileError(f"{self.url}: {_NO_BUCKET}") from None
        self._reached = True

    def put_new(self, key: str, data: bytes) -> bool:
        """See Store.

        A PUT whose answer got lost is repeated by the client and then refused for its own first try: the
        object's metadata tell that case by the attempt's id and the content's digest.
        """
        mine = {_ATTEMPT: uuid.uuid4().hex, _SHA256: hashlib.sha256(data).hexdigest()}
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.1 * 2**attempt)
            status = self._put(key, data, mine)
            if status == _CONFLICT:
                continue
            if status != _EXISTS:
                return True
            there = self._head(key)
            if there is not None:
                return {name: there["Metadata"].get(name) for name in mine} == mine
        raise UnreachableError(f"{self.url}: {key}: {ATTEMPTS} writes were refused in turn; run again later")

    def _put(self, key: str, data: bytes, metadata: dict[str, str]) -> int:
        """HTTP status of a conditional PUT: success, 412 exists, 409 another one is under way."""
        if self.overwrites and self._head(key) is not None:
            return _EXISTS
        condition = {} if self.overwrites else {"IfNoneMatch": "*"}
        with self._explained(key):
            try:
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=self._key(key), Body=data, Metadata=metadata, **condition
                )
            except ClientError as error:
                if _status(error) in (_EXISTS, _CONFLICT):
                    return _status(error)
                raise
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    def _head(self, key: str) -> dict[str, Any] | None:
        with self._explained(key):
            try:
                return dict(self._client.head_object(Bucket=self._bucket, Key=self._key(key)))
            except ClientError as error:
                if _status(error) == _ABSENT:
                    return None
                raise

    def get(self, key: str) -> bytes:
        """See Store."""
        return self._read(key, lambda body: bytes(body.read()))

    def tail(self, key: str, n: int) -> bytes:
        """See Store."""
        return self._read(key, lambda body: bytes(body.read()), Range=f"bytes=-{n}")

    def _read(self, key: str, consume: Callable[[Any], T], **options: str) -> T:
        """What `consume` makes of an object's body; a body that breaks off is asked for again."""
        with self._explained(key):
            for tries_left in reversed(range(ATTEMPTS)):
                answer = self._ask(key, options)
                try:
                    return consume(answer["Body"])
                except _BROKEN:
                    if not tries_left:
                        raise
        raise RuntimeError("no tries")

    def _ask(self, key: str, options: dict[str, str]) -> Any:
        """An object's answer. Where one says 404 and its reason was spoilt on the way, HEAD tells what."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._key(key), **options)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            unread = _status(error) == _ABSENT and code not in ("NoSuchKey", "NoSuchBucket")
            if unread and self._head(key) is None:
                raise FileNotFoundError(f"{self.url}/{key}") from None
            raise

    def identify(self, key: str) -> tuple[int, str]:
        """See Store; the digest that was written with the object, else the object is read."""
        there = self._head(key)
        if there is None:
            raise FileNotFoundError(f"{self.url}/{key}")
        sha256 = there["Metadata"].get(_SHA256) or hashlib.sha256(self.get(key)).hexdigest()
        return int(there["ContentLength"]), sha256

    def entries(self, prefix: str) -> list[Listed]:
        """See Store."""
        require_prefix(self.url, prefix)
        with self._explained(prefix):
            return [
                Listed(one["Key"].removeprefix(self._root), one["Size"], one["LastModified"].timestamp())
                for page in self._pages(prefix)
                for one in page.get("Contents", ())
            ]

    def folders(self, prefix: str) -> list[str]:
        """See Store."""
        require_prefix(self.url, prefix)
        with self._explained(prefix):
            return [
                one["Prefix"].removeprefix(self._root + prefix).removesuffix("/")
                for page in self._pages(prefix, Delimiter="/")
                for one in page.get("CommonPrefixes", ())
            ]

    def _pages(self, prefix: str, **options: str) -> Iterable[Any]:
        lister, where = self._client.get_paginator("list_objects_v2"), self._root + prefix
        return cast(Iterable[Any], lister.paginate(Bucket=self._bucket, Prefix=where, **options))

    def remove(self, key: str) -> None:
        """See Store; needs s3:DeleteObject, which writers need not have."""
        with self._explained(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def local(self, key: str, sha256: str, *, fresh: bool = False) -> Path:
        """See Store; a copy in the cache, named by its digest."""
        there = None if fresh else cached(sha256)
        if there is not None:
            return there

        def require(found: str) -> None:
            require_digest(f"{self.url}/{key}", found, sha256)

        return self._read(key, lambda body: keep(sha256, body.iter_chunks(_CHUNK), require))

    def _key(self, key: str) -> str:
        return self._root + require_key(self.url, key)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Turn the client's errors into ours; an object that is not there into FileNotFoundError."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code == "NoSuchKey":
                raise FileNotFoundError(f"{self.url}/{key}") from None
            raise _kind(error)(f"{self.url}: {_ADVICE.get(code, error)}") from None
        except BotoCoreError as error:
            kind = UnreachableError if isinstance(error, _PASSING) else InputError
            raise kind(
                f"{self.url}: {error}; check AWS_ENDPOINT_URL, AWS_REGION and the credentials"
            ) from None


def _reopen(bucket: str, prefix: str, overwrites: bool) -> S3Store:
    """A worker's store: that the endpoint is the right one was seen by the driver."""
    store = S3Store(bucket, prefix, overwrites=overwrites)
    store._reached = True
    return store


def _kind(error: ClientError) -> type[InputError]:
    """What is not there; what may pass (a busy server, credentials that expired); all else."""
    code = error.response.get("Error", {}).get("Code")
    if code == "NoSuchBucket":
        return NoFileError
    status = _status(error)
    passes = status == _BUSY or (status >= _SERVER and status != _LACKING) or _ADVICE.get(code) == _EXPIRED
    return UnreachableError if passes else InputError


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
