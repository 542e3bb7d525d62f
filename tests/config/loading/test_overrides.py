"""Overrides are YAML, but what is meant as text is taken as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load
from nla_ray.config.loading.overrides import read_value
from nla_ray.errors import ConfigError
from tests.config.loading.test_load import MINIMAL


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "decode.yaml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize(
    "name",
    ["out/run #4", "2026-11-29", "2026-11-29 10:00:00", "0123", "0x1f", "1_000", "1:30", "on", "no", "True",
     "3.10", "1e3", ".5", "#4", "*", "@me", "%x", "`x`", "&a", "!tag x", "what?", "50% #1 @ &!*", "é 日 #3",
     "week=2026-48/x"],
)  # fmt: skip
def test_a_folder_is_called_as_it_is_written(file: Path, name: str) -> None:
    assert load(DecodeConfig, file, [f"output={name}"]).output == name
    assert load(DecodeConfig, file, [f"corpus.paths=[{name}, x]"]).corpus.paths == (name, "x")
    given = {"paths": [name], "text": "on", "id": ["1", name]}
    override = f"corpus={{paths: ['{name}'], text: on, id: [1, \"{name}\"]}}"
    assert load(DecodeConfig, file, [override]).corpus.model_dump(mode="json", include=set(given)) == given


def test_what_is_no_text_stays_what_it_is(file: Path) -> None:
    overrides = ["seed=0123", "sampling.temperature=.5", "overwrites=on", "corpus.limit=null", "output='7'"]
    config = load(DecodeConfig, file, overrides)
    assert (config.seed, config.sampling.temperature, config.overwrites) == (0o123, 0.5, True)
    assert (config.corpus.limit, config.output) == (None, "7")


@pytest.mark.parametrize(
    "override", ["output=null", "output=[a]", "output={a: 1}", "corpus.text=3: 4", "seed=1.5"]
)
def test_what_cannot_be_text_is_refused(file: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="override"):
        load(DecodeConfig, file, [override])


def test_a_later_override_wins_as_it_is_written(file: Path) -> None:
    assert load(DecodeConfig, file, ["output=on", "output=off"]).output == "off"
    assert load(DecodeConfig, file, ["output=2020-01-01", "output=b"]).output == "b"


def test_a_file_says_to_put_it_in_quotes(file: Path) -> None:
    for value in ("2026-11-29", "0123", "on", "1.5"):
        file.write_text(MINIMAL.replace("output: out", f"output: {value}"))
        with pytest.raises(ConfigError, match="in quotes"):
            load(DecodeConfig, file)


def test_private_signs_of_the_text_itself_are_kept() -> None:
    text = "".join(map(chr, range(0xE000, 0xE010))) + "#"
    assert read_value(text) == (text, text)
