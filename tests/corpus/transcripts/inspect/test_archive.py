"""Members of a zip file come out as they went in, or with the reason why not."""

from __future__ import annotations

import io

import pytest

from nla_ray.corpus.transcripts.inspect.archive import member, members
from nla_ray.corpus.transcripts.values import LARGEST, UnreadableError
from tests.corpus.transcripts.made import DEFLATE, STORED, ZSTD, zipped

CONTENT = bytes(range(256)) * 300


def content_of(archive: bytes) -> bytes:
    file = io.BytesIO(archive)
    return member(file, members(file, "some.eval")["a"])


@pytest.mark.parametrize("method", [STORED, DEFLATE, ZSTD])
def test_each_way_of_packing(method: int) -> None:
    assert content_of(zipped([("a", CONTENT)], method)) == CONTENT
    assert content_of(zipped([("a", b"")], method)) == b""


@pytest.mark.parametrize("method", [STORED, DEFLATE, ZSTD])
@pytest.mark.parametrize("at", [0, 35, 60, 90])
def test_a_changed_byte_is_seen(method: int, at: int) -> None:
    archive = bytearray(zipped([("a", CONTENT)], method))
    archive[at] ^= 0x40
    with pytest.raises(UnreadableError, match="a is"):
        content_of(bytes(archive))


@pytest.mark.parametrize("method", [STORED, DEFLATE, ZSTD])
@pytest.mark.parametrize("size", [1, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_size_that_is_not_declared(method: int, size: int) -> None:
    with pytest.raises(UnreadableError, match="damaged"):
        content_of(zipped([("a", CONTENT)], method, size=size))


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(UnreadableError, match=str(LARGEST)):
        content_of(zipped([("a", CONTENT)], size=LARGEST + 1))


@pytest.mark.parametrize(("wrong", "says"), [({"method": 12}, "method 12"), ({"flags": 1}, "encrypted")])
def test_members_of_other_kinds(wrong: dict[str, int], says: str) -> None:
    with pytest.raises(UnreadableError, match=says):
        content_of(zipped([("a", CONTENT)], **wrong))


class Broken(io.BytesIO):
    """A disk that fails on every read."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError("connection reset")


def test_a_fault_of_the_disk_is_no_fault_of_the_file() -> None:
    with pytest.raises(OSError, match="connection reset"):
        members(Broken(zipped([("a", CONTENT)])), "some.eval")
