"""Configuration files: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load
from nla_ray.errors import ConfigError, NoFileError

MINIMAL = """
output: out
models: {target: owner/target@abc, av: owner/pair#av, ar: owner/pair#ar}
corpus: {paths: [docs.jsonl], text: text}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "decode.yaml"
    path.write_text(MINIMAL)
    return path


def test_a_minimal_file_gives_defaults(file: Path) -> None:
    config = load(DecodeConfig, file)
    assert config.models.target is not None and config.models.target.revision == "abc"
    assert config.models.ar is not None and config.models.ar.subfolder == "ar"
    assert (config.positions.n, config.sampling.temperature, config.engine.dtype) == (10, 1.0, "auto")


@pytest.mark.parametrize("text", ["a: 2020-99-99", "a: [", "\x00"])
def test_what_is_not_yaml_is_refused_in_one_line(file: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="the value is not YAML"):
        load(DecodeConfig, file, [f"seed={text.removeprefix('a: ')}"])
    file.write_text(text)
    with pytest.raises(ConfigError, match="not YAML"):
        load(DecodeConfig, file)


def test_overrides_win_and_are_read_as_yaml(file: Path) -> None:
    overrides = ["sampling.samples=2", "corpus.paths=[a.jsonl, b.parquet]", "models.ar=null", "seed=7"]
    config = load(DecodeConfig, file, overrides)
    assert config.sampling.samples == 2
    assert config.corpus.paths == ("a.jsonl", "b.parquet")
    assert config.models.ar is None
    assert config.seed == 7


def test_an_override_may_name_a_section_that_the_file_lacks(file: Path) -> None:
    assert load(DecodeConfig, file, ["baseline.value=0.5", "baseline.reference=train"]).baseline is not None


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("engine.slotz=64", ["engine.slotz", "unknown key", "did you mean 'slots'", "dtype"]),
        ("smapling.samples=2", ["smapling", "did you mean 'sampling'"]),
        ("models.target={pth: x}", ["models.target.pth", "did you mean 'path'", "revision"]),
        ("sampling.samples=0", ["sampling.samples", "greater than or equal to 1", "found 0"]),
        ("controls.random=1.5", ["controls.random", "less than or equal to 1"]),
        ("positions.choose=frist", ["positions.choose", "'random', 'first', 'last'", "'after' or 'column'"]),
        ("engine.device=tpu", ["engine.device", "found 'tpu'"]),
        ("corpus.text=null", ["corpus", "text or messages, or vectors"]),
        ("models.target=null", ["models.target", "only corpus.vectors do without"]),
        ("positions.choose=column", ["positions", "name of the column belong together"]),
        ("positions.part=response", ["positions.part", "no response without continuation"]),
        ("positions.column=at", ["positions", "name of the column belong together"]),
        ("corpus={paths: [a], messages: m, vectors: {}}", ["corpus", "not with messages"]),
        ("models.target=a@b@c", ["models.target", "ID_OR_PATH"]),
        ("seed", ["write it as key=value; a key begins with one of overwrites, continuation"]),
        ("output.folder=x", ["'output' is a single value"]),
        ("corpus.paths.0.name=x", ["'paths' is a list", "given as a whole", "corpus.paths=["]),
        ("output=null", ["output: a text belongs here (found null)"]),
        ("seed=yes", ["seed: a number belongs here", "(found true)"]),
        ("engine.slots=true", ["engine.slots: a number belongs here", "(found true)"]),
        ("seed=[", ["not YAML"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(file: Path, override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(DecodeConfig, file, [override])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "begins"),
    [
        (
            ["seed=3", "sampling.samples=0"],
            "override 'sampling.samples=0': sampling.samples: Input should be",
        ),
        (["sampling={samples: 0}"], "override 'sampling={samples: 0}': sampling.samples: Input should be"),
        (["engine.slotz=64"], "override 'engine.slotz=64': engine.slotz: unknown key"),
        (["seed=3", "positions.choose=column"], "{file} with positions.choose=column: positions: "),
        (["seed=-3", "seed=-4"], "override 'seed=-4': "),
        (["sampling.samples=3", "sampling={samples: 0}"], "override 'sampling={samples: 0}': "),
        (["baseline.value=0.5"], "{file} with baseline.value=0.5: baseline.reference: "),
        (["seed=3"], "{file}: corpus: "),
    ],
)
def test_what_is_wrong_in_an_override_is_not_the_files(file: Path, overrides: list[str], begins: str) -> None:
    if overrides == ["seed=3"]:
        file.write_text(MINIMAL.replace("text: text", "text: null"))
    with pytest.raises(ConfigError) as caught:
        load(DecodeConfig, file, overrides)
    assert str(caught.value).startswith(begins.replace("{file}", str(file))), caught.value


def test_a_typo_in_a_required_key_is_named_as_a_typo(file: Path) -> None:
    file.write_text(MINIMAL.replace("output:", "ouput:"))
    with pytest.raises(ConfigError, match="ouput: unknown key; did you mean 'output'"):
        load(DecodeConfig, file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- a\n- b\n", "found list where keys with values belong"),
        (b"", "found nothing"),
        (b"a: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"output: out\n", "models: Field required"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load(DecodeConfig, path)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NoFileError, match=r"nowhere\.yaml: cannot read this configuration file"):
        load(DecodeConfig, tmp_path / "nowhere.yaml")


def test_a_job_of_the_package_stands_in_where_there_is_no_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = Path("jobs/decode_demo.yaml")
    assert load(DecodeConfig, named).output == "out/demo/tables"
    named.parent.mkdir()
    named.write_text(MINIMAL)
    assert load(DecodeConfig, named).output == "out"
    with pytest.raises(NoFileError, match=r"jobs/none\.yaml: cannot read this configuration file: No such"):
        load(DecodeConfig, Path("jobs/none.yaml"))


LEVELS = [(f"a{at}", f"*a{at - 1}") for at in range(1, 10)]
NESTED = "a0: &a0 {x: 1}\n" + "".join(
    f"{name}: &{name} [{', '.join([below] * 10)}]\n" for name, below in LEVELS
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([below] * 10)}]}}\n" for name, below in LEVELS
)


@pytest.mark.parametrize("bomb", [NESTED, MERGED, "a: &a [*a]"])
def test_aliases_that_never_end_are_refused_at_once(file: Path, bomb: str) -> None:
    file.write_text(bomb)
    started = time.process_time()
    with pytest.raises(ConfigError, match="line 1: its YAML aliases stand for more than"):
        load(DecodeConfig, file)
    assert time.process_time() - started < 1


def test_an_alias_in_good_order_is_read(file: Path) -> None:
    file.write_text(MINIMAL.replace("[docs.jsonl]", "[&docs docs.jsonl, *docs]"))
    assert load(DecodeConfig, file).corpus.paths == ("docs.jsonl", "docs.jsonl")


def test_a_key_that_stands_twice_is_named(file: Path) -> None:
    file.write_text(file.read_text() + "seed: 1\nseed: 2\n")
    with pytest.raises(ConfigError, match="the key 'seed' stands twice"):
        load(DecodeConfig, file)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("corpus.paths=a.jsonl", "a list belongs here"),
        ("corpus.paths=[]", "at least one value"),
        ("corpus.window=40", "keys with values belong here"),
    ],
)
def test_what_belongs_in_a_place_is_said_in_plain_words(file: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(DecodeConfig, file, [override])
