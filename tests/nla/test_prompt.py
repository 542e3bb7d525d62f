"""Prompts and the three marker rules, on tiny tokenizers of every family."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from nla_ray.errors import CheckpointError
from nla_ray.nla.prompt import (
    ar_prompt_ids,
    check_ar_suffix,
    check_marker_id,
    load_tokenizer,
    render_av_prompt,
)
from nla_ray.nla.sidecar.read import Marker, Sidecar, read_sidecar
from tests.conftest import NlaDirs
from tests.tiny import FAMILIES, MARKER, tiny_tokenizer

Loaded = tuple[PreTrainedTokenizerBase, Sidecar]


@pytest.fixture
def av(nla: Callable[[str], NlaDirs]) -> Loaded:
    directory = nla("qwen2")[1]
    return load_tokenizer(directory), read_sidecar(directory, role="av")


@pytest.fixture
def ar(nla: Callable[[str], NlaDirs]) -> Loaded:
    directory = nla("qwen2")[2]
    return load_tokenizer(directory), read_sidecar(directory, role="ar")


def with_marker(sidecar: Sidecar, **changes: object) -> Sidecar:
    assert sidecar.marker is not None
    return replace(sidecar, marker=replace(sidecar.marker, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_av_prompt(nla: Callable[[str], NlaDirs], family: str) -> None:
    directory = nla(family)[1]
    tokenizer, sidecar = load_tokenizer(directory), read_sidecar(directory)
    prompt = render_av_prompt(tokenizer, sidecar)
    assert sidecar.marker is not None
    assert prompt.ids[prompt.slots[0]] == sidecar.marker.token_id
    assert prompt.text.count(MARKER) == 1
    assert prompt.text.endswith("assistant\n")
    assert tokenizer.decode(prompt.ids) == prompt.text
    assert prompt.ids.count(tokenizer.bos_token_id) == (0 if tokenizer.bos_token is None else 1)


def test_rule_one_other_id(av: Loaded) -> None:
    tokenizer, sidecar = av
    with pytest.raises(CheckpointError, match=r"marker rule 1 \(one id\): .* records 7"):
        render_av_prompt(tokenizer, with_marker(sidecar, token_id=7))


def test_rule_one_marker_in_pieces(av: Loaded) -> None:
    with pytest.raises(
        CheckpointError, match=r"marker rule 1 \(one id\): the tokenizer gives \[\d+, \d+, \d+\]"
    ):
        render_av_prompt(tiny_tokenizer("qwen2", marker=False), av[1])


def test_rule_one_unknown_token(av: Loaded) -> None:
    tokenizer, marker = tiny_tokenizer("qwen2"), av[1].marker
    assert marker is not None
    tokenizer.unk_token = "not in the vocabulary"
    check_marker_id(tokenizer, marker, "here")
    tokenizer.unk_token = tokenizer.convert_ids_to_tokens(marker.token_id)
    with pytest.raises(CheckpointError, match="the unknown token"):
        check_marker_id(tokenizer, marker, "here")


@pytest.mark.parametrize(
    ("template", "places"),
    [(f"{MARKER} or <concept>{{injection_char}}</concept>", r"\[\d+, \d+\]")],
)
def test_rule_two_more_than_once(av: Loaded, template: str, places: str) -> None:
    tokenizer, sidecar = av
    with pytest.raises(CheckpointError, match=rf"marker rule 2 \(exactly once\): .* positions {places}"):
        render_av_prompt(tokenizer, replace(sidecar, av_template=template))


def test_rule_two_a_chat_template_that_drops_the_prompt(av: Loaded) -> None:
    with pytest.raises(CheckpointError, match=r"marker rule 2 \(exactly once\): .* positions \[\]"):
        render_av_prompt(*av, chat_template="nothing of it")


def test_rule_two_at_the_edge(av: Loaded) -> None:
    edge = replace(av[1], av_template="{injection_char}")
    with pytest.raises(CheckpointError, match=r"marker rule 2"):
        render_av_prompt(av[0], edge, chat_template="{{ messages[0]['content'] }}")


@pytest.mark.parametrize("side", ["left_id", "right_id"])
def test_rule_three(av: Loaded, side: str) -> None:
    tokenizer, sidecar = av
    with pytest.raises(CheckpointError, match=r"marker rule 3 \(neighbours\): .* records \("):
        render_av_prompt(tokenizer, with_marker(sidecar, **{side: 1}))


def test_a_missing_chat_template_is_the_base_models(
    av: Loaded, nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    bare, expected = tiny_tokenizer("qwen2"), render_av_prompt(*av)
    bare.chat_template = None
    bare.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no chat template; the base model's is needed"):
        render_av_prompt(load_tokenizer(tmp_path), av[1])
    assert render_av_prompt(load_tokenizer(tmp_path, template_from=nla("qwen2")[0]), av[1]) == expected
    assert render_av_prompt(load_tokenizer(tmp_path), av[1], chat_template=av[0].chat_template) == expected


@pytest.mark.parametrize("template", ["{% for", "{{ raise_exception('no system role') }}", "{{ 1 / 0 }}"])
def test_a_chat_template_that_fails(av: Loaded, template: str) -> None:
    with pytest.raises(CheckpointError, match="its chat template fails"):
        render_av_prompt(*av, chat_template=template)


def test_an_ar_has_no_av_prompt(ar: Loaded, av: Loaded) -> None:
    with pytest.raises(CheckpointError, match="this is not an AV"):
        render_av_prompt(ar[0], replace(ar[1], marker=None))
    with pytest.raises(CheckpointError, match="this is not an AV"):
        render_av_prompt(ar[0], replace(ar[1], marker=Marker(MARKER, 338, 1, 2), av_template=None))
    with pytest.raises(CheckpointError, match="this is not an AR"):
        ar_prompt_ids(av[0], replace(av[1], ar_template=None), ["x"])


@pytest.mark.parametrize("family", FAMILIES)
def test_ar_prompts_have_a_bos_where_the_tokenizer_adds_one(
    nla: Callable[[str], NlaDirs], family: str
) -> None:
    directory = nla(family)[2]
    tokenizer, sidecar = load_tokenizer(directory), read_sidecar(directory)
    texts = ["a text", "", "{braces} and \n\n lines", "ünïcode ㈎"]
    for text, ids in zip(texts, ar_prompt_ids(tokenizer, sidecar, texts), strict=True):
        assert (ids[0] == tokenizer.bos_token_id) == (tokenizer.bos_token is not None)
        assert tokenizer.decode(ids, skip_special_tokens=True).endswith(f"<text>{text}</text> <summary>")
        check_ar_suffix(ids, sidecar)


def test_no_texts_no_prompts(ar: Loaded) -> None:
    assert ar_prompt_ids(*ar, []) == []


def test_another_suffix(ar: Loaded) -> None:
    tokenizer, sidecar = ar
    ids = ar_prompt_ids(tokenizer, sidecar, ["a text"])[0]
    check_ar_suffix(ids, replace(sidecar, ar_suffix_ids=None))
    with pytest.raises(CheckpointError, match=r"tokens\.critic_suffix_ids: the prompt ends with"):
        check_ar_suffix(ids, replace(sidecar, ar_suffix_ids=(1, 2)))


def test_the_lender_of_a_chat_template_is_not_trusted_with_the_borrower(
    nla: Callable[[str], NlaDirs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    target, av = (Path(shutil.copytree(source, tmp_path / source.name)) for source in nla("qwen2")[:2])
    (av / "chat_template.jinja").unlink()
    ran = tmp_path / "ran"
    (target / "house.py").write_text(f"import os\nos.mkdir({str(ran)!r})\nclass HouseTokenizer: ...\n")
    config = json.loads((target / "tokenizer_config.json").read_text())
    config |= {
        "tokenizer_class": "HouseTokenizer",
        "auto_map": {"AutoTokenizer": ["house.HouseTokenizer", None]},
    }
    (target / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_tokenizer(av, template_from=target, trust_remote_code=True).chat_template
    assert not ran.exists()
    with pytest.raises(CheckpointError, match="target: its tokenizer cannot be loaded"):
        load_tokenizer(target, trust_remote_code=True)
    assert ran.exists(), "the code must be such that it can run for this test to say something"


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer; one of tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(CheckpointError, match="its tokenizer cannot be loaded"):
        load_tokenizer(tmp_path)
