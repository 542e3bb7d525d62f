"""Folders of S3 as local folders: whole, checked, fetched once, those that were planned."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nla_ray.errors import InputError, NoFileError, UnreachableError
from nla_ray.store.places.remote import asking, spool
from nla_ray.store.places.remote.copies import local_copy
from tests.store.conftest import client_of, use_s3
from tests.store.faults import Request, faulty

WANTED = ("*.json", "*.safetensors")
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 40_000}
REFUSED = {"pytorch_model.bin": b"pickle", "modeling.py": b"code", ".hidden.json": b"{}"}


def put(server: str, url: str, files: dict[str, bytes]) -> None:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    for name, data in files.items():
        client_of(server).put_object(Bucket=bucket, Key=f"{key}/{name}", Body=data)


@contextmanager
def through(server: str, fault: Callable[[Request], str | None], cache: Path) -> Iterator[list[str]]:
    """Requests that are made through a proxy on which some go wrong."""
    made: list[str] = []

    def seen(request: Request) -> str | None:
        made.append(f"{request.command} {request.path}")
        return fault(request)

    with faulty(server, seen) as proxy, pytest.MonkeyPatch.context() as patch:
        use_s3(patch, proxy, cache)
        yield made


@pytest.fixture
def model(server: str, url: str) -> str:
    """URL of a folder with the files of a model and some that are none of it."""
    put(server, url, FILES | REFUSED | {"sub/config.json": b"another"})
    return url


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_only_the_wanted_files_of_the_folder_itself_are_fetched(model: str) -> None:
    folder, pin = local_copy(model, WANTED)
    assert held(folder) == FILES
    assert folder.name == model.rpartition("/")[2]
    assert local_copy(f"{model}/", WANTED, pin) == (folder, pin)
    small, same = local_copy(model, WANTED, only=("*.json",))
    assert held(small) == {"config.json": b"{}"} and same == pin


def test_a_copy_that_is_here_is_asked_for_once_and_with_its_pin_not_at_all(
    server: str, model: str, tmp_path: Path
) -> None:
    with through(server, lambda request: None, tmp_path / "cache") as made:
        _, pin = local_copy(model, WANTED)
        first = len(made)
        local_copy(model, WANTED)
        assert all("list-type=2" in one for one in made[first:]) and len(made) - first <= 2
        again = len(made)
        local_copy(model, WANTED, pin)
        assert len(made) == again


def test_other_files_than_the_pinned_ones_are_refused(server: str, model: str, tmp_path: Path) -> None:
    _, pin = local_copy(model, WANTED)
    put(server, model, {"model.safetensors": b"trained further"})
    with pytest.raises(InputError, match="changed since it was planned"):
        use_other_cache(model, pin, tmp_path)
    assert local_copy(model, WANTED)[1] != pin


def use_other_cache(model: str, pin: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NLA_RAY_CACHE", str(tmp_path / "another node"))
        local_copy(model, WANTED, pin)


def test_what_is_not_there_is_named(url: str) -> None:
    with pytest.raises(NoFileError, match="no such model"):
        local_copy(url, WANTED)
    with pytest.raises(NoFileError, match="bucket"):
        local_copy("s3://no-such-bucket/model", WANTED)


@pytest.mark.parametrize("fault", ["cut", "short", "flip:7", "reset", "SlowDown"])
def test_a_body_that_comes_wrong_is_asked_for_again(
    server: str, model: str, fault: str, tmp_path: Path
) -> None:
    spoilt: list[str] = []

    def once(request: Request) -> str | None:
        if request.command == "GET" and "model.safetensors" in request.path and not spoilt:
            spoilt.append(request.path)
            return fault
        return None

    with through(server, once, tmp_path / "other"):
        assert held(local_copy(model, WANTED)[0]) == FILES
    assert spoilt


def test_a_body_that_never_fits_is_not_kept(
    server: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "TRIES", 2)

    def always(request: Request) -> str | None:
        return "flip:7" if request.command == "GET" and "model.safetensors" in request.path else None

    with through(server, always, tmp_path / "other"), pytest.raises(UnreachableError, match="checksum"):
        local_copy(model, WANTED)
    assert not list((tmp_path / "other").rglob("model.safetensors"))


def test_what_was_fetched_before_an_interruption_is_not_fetched_again(
    server: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.1)

    def denied(request: Request) -> str | None:
        return "InternalError" if request.command == "GET" and "model.safetensors" in request.path else None

    with through(server, denied, tmp_path / "other"), pytest.raises(UnreachableError):
        local_copy(model, WANTED)
    with through(server, lambda request: None, tmp_path / "other") as made:
        assert held(local_copy(model, WANTED)[0]) == FILES
    assert not [one for one in made if "config.json" in one]


def test_a_file_of_another_size_is_fetched_again(model: str) -> None:
    folder, pin = local_copy(model, WANTED)
    (folder / "config.json").write_bytes(b"")
    assert held(local_copy(model, WANTED, pin)[0]) == FILES


def test_processes_that_come_at_once_share_one_fetch(server: str, model: str, tmp_path: Path) -> None:
    with through(server, lambda request: None, tmp_path / "other") as made:
        context = multiprocessing.get_context("spawn")
        both = [context.Process(target=local_copy, args=(model, WANTED)) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
    fetched = [one for one in made if one.startswith("GET") and "model.safetensors" in one]
    assert len(fetched) == 2, "two ranges of 8 MiB, once"
