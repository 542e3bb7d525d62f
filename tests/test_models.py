"""From a model's name to its directory: GGUF files are converted once, and are what they hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub.constants
import pytest

pytest.importorskip("gguf")

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError, InputError, NoCheckpointError
from nla_ray.models import directory_of, here, pinned
from nla_ray.nla.model.backbone import load_config
from nla_ray.nla.model.gguf import convert
from nla_ray.pipelines.decode.run import decode
from nla_ray.pipelines.provenance import model_record
from tests.cli.conftest import TEXT
from tests.conftest import NlaDirs
from tests.decoded import rows_of, same_rows
from tests.gguf_files import tiny_gguf, write_gguf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no hub."""
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


def snapshot(hub: Path, repository: str, commit: str, file: Path) -> None:
    """A download of one file, as the hub's cache has it."""
    root = hub / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "snapshots" / commit).mkdir(parents=True)
    os.link(file, root / "snapshots" / commit / file.name)


def test_a_file_a_folder_and_a_repository_with_it_are_one_converted_folder(tmp_path: Path) -> None:
    _, path = tiny_gguf(tmp_path)
    snapshot(tmp_path / "hub", "owner/name", "c0ffee" * 6 + "0000", path)
    names = [str(path), f"{tmp_path}#tiny.gguf", "owner/name#tiny.gguf"]
    refs = [ModelRef.parse(name) for name in names]
    assert len({directory_of(ref) for ref in refs}) == 1
    assert directory_of(refs[0]).name == "tiny" and load_config(directory_of(refs[0])).model_type == "qwen2"
    records = [model_record(ref, directory_of(ref)) for ref in refs]
    assert len({record.sha256 for record in records}) == 1
    assert [record.commit for record in records] == [None, None, "c0ffee" * 6 + "0000"]
    assert [pinned(ref).revision for ref in refs] == [None, None, "c0ffee" * 6 + "0000"]


def test_another_file_under_the_name_is_another_model(tmp_path: Path) -> None:
    checkpoint, path = tiny_gguf(tmp_path)
    ref = ModelRef(path=str(path))
    before = directory_of(ref), model_record(ref, directory_of(ref)).sha256
    path.unlink()
    write_gguf(checkpoint, path, change=lambda writer: writer.add_string("general.name", "other"))
    after = directory_of(ref), model_record(ref, directory_of(ref)).sha256
    assert before[0] != after[0] and before[1] != after[1]


def test_one_process_converts_while_others_wait_and_an_interruption_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = tiny_gguf(tmp_path)
    made: list[Path] = []
    real = convert.convert

    def counted(file: Path, folder: Path) -> None:
        made.append(file)
        if len(made) == 1:
            (folder / "config.json").write_text("half")
            raise CheckpointError("stopped half way")
        real(file, folder)

    monkeypatch.setattr(convert, "convert", counted)
    with pytest.raises(CheckpointError, match="half way"):
        here(ModelRef(path=str(path)))
    assert not [one for one in (cache / "models").iterdir() if one.is_dir()]
    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(lambda _: directory_of(ModelRef(path=str(path))), range(3)))) == 1
    assert len(made) == 2


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("{at}/tiny.gguf@main", CheckpointError, "a local file has no revisions"),
        ("{at}/missing.gguf", NoCheckpointError, "no such file"),
        ("{at}#missing.gguf", NoCheckpointError, "no such file"),
        ("owner/name#missing.gguf", NoCheckpointError, "the hub cannot be reached"),
        ("{at}/notes.txt", CheckpointError, "a file that is not GGUF (it begins with b'note')"),
    ],
)
def test_what_is_no_gguf_file_is_said_in_one_line(
    tmp_path: Path, name: str, kind: type[InputError], says: str
) -> None:
    tiny_gguf(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(kind) as caught:
        directory_of(ModelRef.parse(name.format(at=tmp_path)))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_of_gguf_files_says_how_to_name_one(tmp_path: Path) -> None:
    tiny_gguf(tmp_path)
    with pytest.raises(CheckpointError, match=f"name one of them, as {tmp_path}#tiny.gguf"):
        load_config(directory_of(ModelRef(path=str(tmp_path))))


def test_the_rows_of_a_gguf_target_are_those_of_its_checkpoint(
    tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    target, av, ar = nla("qwen2")
    write_gguf(target, tmp_path / "target.gguf")
    (tmp_path / "corpus.jsonl").write_text("".join(f'{{"text": "{TEXT}{n}"}}\n' for n in range(3)))
    rows = []
    for name in (target, tmp_path / "target.gguf"):
        output = tmp_path / "out" / name.name
        config = DecodeConfig.model_validate(
            {
                "output": str(output),
                "models": {"target": str(name), "av": str(av), "ar": str(ar)},
                "corpus": {"paths": [str(tmp_path / "corpus.jsonl")], "text": "text"},
                "positions": {"n": 2},
                "sampling": {"max_new_tokens": 12},
                "prove": False,
            }
        )
        decode(config)
        rows.append(rows_of(str(output)))
    same_rows(*rows, apart=("run_id", "unit_id", "target"))
