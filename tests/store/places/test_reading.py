"""What reading relies on: checksums that stores tell, credentials that are renewed, errors of the disk."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.find import read_documents
from nla_ray.errors import InputError, UnreachableError
from nla_ray.store.places.files import expand, opened, read_bytes
from nla_ray.store.places.remote import asking
from nla_ray.store.places.remote.spool import checksum_of
from tests.store.conftest import BUCKET, READER, SECRET, client_of
from tests.store.faults import Request, faulty

CONTENT = random.Random(0).randbytes(200_000)
PARTS = (CONTENT * 27, CONTENT * 30, CONTENT)
"""Of two lengths beside the last, as writers make them that send whatever they have."""


def plain_client() -> Any:
    return botocore.session.get_session().create_client(
        "s3", config=Config(request_checksum_calculation="when_required")
    )


def put(key: str, **options: str) -> bytes:
    plain_client().put_object(Bucket=BUCKET, Key=key, Body=CONTENT, **options)
    return CONTENT


def put_parts(key: str) -> bytes:
    client, where = plain_client(), {"Bucket": BUCKET, "Key": key}
    upload = client.create_multipart_upload(**where)["UploadId"]
    tags = [
        client.upload_part(**where, UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(PARTS, start=1)
    ]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    return b"".join(PARTS)


@pytest.mark.parametrize("how", ["plain", "CRC32", "SHA1", "SHA256", "parts"])
def test_a_copy_with_one_other_bit_has_not_the_checksum(url: str, how: str) -> None:
    key = url.split("/", 3)[3]
    options = {} if how == "plain" else {"ChecksumAlgorithm": how}
    content = put_parts(key) if how == "parts" else put(key, **options)
    head, checksum = checksum_of(url)
    assert checksum is not None and head.size == len(content)
    assert checksum.fits(io.BytesIO(content))
    changed = bytearray(content)
    changed[len(content) // 2] ^= 16
    for other in (changed, content[:-1], content + b"x", b""):
        assert not checksum.fits(io.BytesIO(other))


def test_an_etag_that_is_no_digest_is_not_taken_for_one(s3: str) -> None:
    put(s3.split("/", 3)[3], ServerSideEncryption="aws:kms")
    assert checksum_of(s3)[1] is None


def test_credentials_that_are_renewed_are_used(
    seaweedfs_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3: str
) -> None:
    client_of(seaweedfs_endpoint).put_object(Bucket=BUCKET, Key="renewed", Body=b"read")
    given = tmp_path / "credentials"
    form = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
    given.write_text(form.format(*READER))

    def expired(request: Request) -> str | None:
        old = f"Credential={READER[0]}/" in request.headers["Authorization"]
        given.write_text(form.format("key", SECRET))
        return "ExpiredToken" if old else None

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(given))
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.01)
    with faulty(seaweedfs_endpoint, expired) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert read_bytes(f"s3://{BUCKET}/renewed") == b"read"


BROKEN = Path("/proc/self/mem")
"""A file whose first byte no disk will give."""


@pytest.mark.skipif(not BROKEN.exists(), reason="needs /proc")
def test_an_error_of_the_disk_is_none_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.symlink_to(BROKEN)
    with pytest.raises(UnreachableError, match=r"a\.jsonl: could not be read: Input/output error"):
        list(read_documents(Corpus(paths=(str(path),), text="text")))
    with pytest.raises(UnreachableError), opened(str(path)) as file, suppress(OSError):
        file.read(1)


def test_patterns_mean_what_they_mean_to_the_standard_library(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", ".c.txt", "d/a.txt", "d/e/a.txt", "[d]/a.txt", "f.txt/a.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for pattern in (
        "*.txt",
        "*/a.txt",
        "**/a.txt",
        "**/*",
        "?.txt",
        "[ab].txt",
        "d/**/*.txt",
        "*/*/a.txt",
        "**/**/a.txt",
    ):
        expected = sorted(str(path) for path in tmp_path.glob(pattern) if path.is_file())
        assert list(expand(f"{tmp_path}/{pattern}").files) == expected != [], pattern
    with pytest.raises(InputError, match="no file matches"):
        expand(f"{tmp_path}/*.parquet")
