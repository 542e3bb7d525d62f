"""Model references."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "path", "revision", "subfolder"),
    [
        ("owner/name", "owner/name", None, None),
        ("owner/name@main", "owner/name", "main", None),
        ("owner/name#pair/av", "owner/name", None, "pair/av"),
        ("owner/name@0a1b2c#av/", "owner/name", "0a1b2c", "av"),
        ("demo:av", "demo:av", None, None),
        ("/no/such/place", "/no/such/place", None, None),
        ("~nobody-of-this-name/av#x", "~nobody-of-this-name/av", None, "x"),
        ("long" * 2000, "long" * 2000, None, None),
    ],
)
def test_parse(text: str, path: str, revision: str | None, subfolder: str | None) -> None:
    ref = ModelRef.parse(text)
    assert ref == ModelRef(path=path, revision=revision, subfolder=subfolder)
    assert ModelRef.parse(str(ref)) == ref


def test_a_path_that_exists_is_taken_whole(tmp_path: Path) -> None:
    odd = tmp_path / "iter@400#best"
    odd.mkdir()
    assert ModelRef.parse(str(odd)) == ModelRef(path=str(odd))


def test_an_adapter_over_an_adapter_over_a_base() -> None:
    ref = ModelRef.parse("you/rl@v2#iter_400 on you/sft#av on them/model")
    assert (ref.path, ref.revision, ref.subfolder) == ("you/rl", "v2", "iter_400")
    assert ref.base == ModelRef(path="you/sft", subfolder="av", base=ModelRef(path="them/model"))
    assert ModelRef.parse(str(ref)) == ref == ModelRef.model_validate(ref.model_dump())
    assert ModelRef.model_validate({"path": "a/b", "base": "c/d on e/f"}) == ModelRef.parse(
        "a/b on c/d on e/f"
    )


def test_a_folder_may_have_the_word_in_its_name(tmp_path: Path) -> None:
    odd = tmp_path / "tuned on friday"
    odd.mkdir()
    assert ModelRef.parse(str(odd)) == ModelRef(path=str(odd))
    assert ModelRef.parse(f"{odd} on a/b") == ModelRef(path=str(odd), base=ModelRef(path="a/b"))


def test_a_base_is_trusted_as_its_adapter_is() -> None:
    base = ModelRef.parse("a/b on c/d", trust_remote_code=True).base
    assert base is not None
    assert base.trust_remote_code


def test_a_reference_without_base_is_dumped_as_before() -> None:
    """Units are found again by what is dumped."""
    assert "base" not in ModelRef.parse("a/b").model_dump()


def test_text_in_a_config_is_a_reference() -> None:
    class Config(BaseModel):
        target: ModelRef

    assert Config.model_validate({"target": "a/b@v1"}).target == ModelRef(path="a/b", revision="v1")
    assert Config.model_validate(
        {"target": {"path": "a/b", "trust_remote_code": True}}
    ).target.trust_remote_code


def test_code_of_a_checkpoint_is_trusted_only_on_request() -> None:
    assert not ModelRef.parse("a/b").trust_remote_code
    assert ModelRef.parse("a/b", trust_remote_code=True).trust_remote_code


@pytest.mark.parametrize(
    "text",
    ["", "  ", "@main", "#av", "a@b@c", "a#b#c", "a/b#/etc", "a/b#../up", "a/b@main#.", "a/b on ", " on a/b"],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ConfigError, match="model"):
        ModelRef.parse(text)
    with pytest.raises(ValidationError):
        ModelRef.model_validate(text)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        ModelRef.model_validate({"path": "a/b", "branch": "main"})
