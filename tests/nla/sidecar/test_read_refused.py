"""The sidecar reader refuses what it does not know: by file, field and finding, in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from nla_ray.errors import CheckpointError, ConfigError
from nla_ray.nla.sidecar.read import read_sidecar
from tests.nla.sidecar.test_read import NO_LAYER, RELEASED_AR, RELEASED_AV, REMOVED, TOKENS, change, write

ADDITIVE = "not the replacement of the marker's embedding"
REFUSED: list[tuple[str, Any, str, str]] = [
    (
        "whitened",
        change(RELEASED_AV, extraction__norm="whitened_zca_v1"),
        "extraction.norm",
        "'whitened_zca_v1'",
    ),
    (
        "additive mode",
        change(RELEASED_AV, extraction__injection_mode="additive"),
        "extraction.injection_mode",
        ADDITIVE,
    ),
    (
        "additive method",
        change(RELEASED_AV, injection_method="norm-matched-add"),
        "injection_method",
        ADDITIVE,
    ),
    (
        "additive group",
        change(RELEASED_AV, injection={"mode": "add", "layer": 1}),
        "injection.mode",
        ADDITIVE,
    ),
    ("additive text", change(RELEASED_AV, training__injection="karvonen"), "training.injection", ADDITIVE),
    ("additive flag", change(RELEASED_AV, extraction__karvonen=True), "extraction.karvonen", ADDITIVE),
    ("another kind", change(RELEASED_AV, kind="nla_other"), "kind", "'nla_other'"),
    ("no kind", change(RELEASED_AV, kind=REMOVED, schema_version=1), "kind", "found nothing"),
    ("unknown role", change(RELEASED_AV, role="judge"), "role", "'judge'"),
    ("no role", change(RELEASED_AV, role=REMOVED), "role", "found nothing"),
    ("no d_model", change(RELEASED_AV, d_model=REMOVED), "extraction.d_model", "found nothing"),
    ("d_model 0", change(RELEASED_AV, d_model=0), "d_model", "found 0"),
    ("d_model true", change(RELEASED_AV, d_model=True), "d_model", "found True"),
    ("no layer", change(RELEASED_AV, **NO_LAYER), "extraction_layer_index", "found nothing"),
    ("layer 20.5", change(RELEASED_AV, extraction_layer_index=20.5), "extraction_layer_index", "20.5"),
    ("layer -1", change(RELEASED_AV, extraction_layer_index=-1), "extraction_layer_index", "-1"),
    ("layer text", change(RELEASED_AV, extraction_layer_index="last"), "extraction_layer_index", "'last'"),
    (
        "layer list",
        change(RELEASED_AV, extraction_layer_index=[20, 24]),
        "extraction_layer_index",
        "[20, 24]",
    ),
    ("mse_scale null", change(RELEASED_AR, extraction__mse_scale=None), "extraction.mse_scale", "raw MSE"),
    ("mse_scale raw", change(RELEASED_AR, extraction__mse_scale="raw"), "extraction.mse_scale", "raw MSE"),
    (
        "mse_scale NaN",
        change(RELEASED_AR, extraction__mse_scale=math.nan),
        "extraction.mse_scale",
        "found nan",
    ),
    (
        "no injection scale",
        change(RELEASED_AV, extraction__injection_scale=REMOVED),
        "extraction.injection_scale",
        "--prove",
    ),
    *(
        (
            f"scale {scale}",
            change(RELEASED_AV, extraction__injection_scale=scale),
            "extraction.injection_scale",
            "found",
        )
        for scale in (
            0,
            -150.0,
            math.nan,
            math.inf,
            "nan",
            "inf",
            "-1",
            "big",
            "",
            True,
            [150],
            {"v": 1},
            10**400,
        )
    ),
    (
        "no av template",
        change(RELEASED_AV, prompt_templates__av=REMOVED),
        "prompt_templates.av",
        "{injection_char}",
    ),
    (
        "no ar template",
        change(RELEASED_AR, prompt_templates__ar=REMOVED),
        "prompt_templates.ar",
        "{explanation}",
    ),
    ("no slot", change(RELEASED_AV, prompt_templates__av="Explain."), "prompt_templates.av", "0 times"),
    (
        "two slots",
        change(RELEASED_AV, prompt_templates__av="{injection_char}" * 2),
        "prompt_templates.av",
        "2 times",
    ),
    ("other slot", change(RELEASED_AV, prompt_templates__av="{vector}"), "prompt_templates.av", "{vector}"),
    (
        "slot with an attribute",
        change(RELEASED_AV, prompt_templates__av="{injection_char.__class__}"),
        "prompt_templates.av",
        "unknown placeholder",
    ),
    (
        "loose brace",
        change(RELEASED_AV, prompt_templates__av="{injection_char"),
        "prompt_templates.av",
        "expected '}'",
    ),
    (
        "ar slot in no ar",
        change(RELEASED_AR, prompt_templates__ar="<text></text>"),
        "prompt_templates.ar",
        "0 times",
    ),
    (
        "template list",
        change(RELEASED_AV, prompt_templates__av=["a"]),
        "prompt_templates.av",
        "a text was expected",
    ),
    (
        "half a character",
        change(RELEASED_AV, tokens__injection_char="\ud800"),
        "tokens.injection_char",
        "without lone surrogates",
    ),
    (
        "templates text",
        change(RELEASED_AV, prompt_templates="a"),
        "prompt_templates",
        "a mapping was expected",
    ),
    ("extraction list", change(RELEASED_AV, extraction=[1]), "extraction", "a mapping was expected"),
    *(
        (f"no {name}", change(RELEASED_AV, **{f"tokens__{name}": REMOVED}), f"tokens.{name}", "found nothing")
        for name in TOKENS
        if name != "critic_suffix_ids"
    ),
    (
        "negative id",
        change(RELEASED_AV, tokens__injection_token_id=-1),
        "tokens.injection_token_id",
        "found -1",
    ),
    (
        "suffix text",
        change(RELEASED_AR, tokens__critic_suffix_ids="1 2"),
        "tokens.critic_suffix_ids",
        "'1 2'",
    ),
    (
        "suffix floats",
        change(RELEASED_AR, tokens__critic_suffix_ids=[1.5]),
        "tokens.critic_suffix_ids",
        "[1.5]",
    ),
]


@pytest.mark.parametrize(
    ("meta", "field", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refusal_names_file_field_and_finding(tmp_path: Path, meta: Any, field: str, says: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_sidecar(write(tmp_path, meta))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'nla_meta.yaml'}: {field}: found ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- kind: nla_model", "found a list"),
        ("", "found a NoneType"),
        ("just words", "found a str"),
        ("kind: [nla_model", "not valid YAML"),
        ("kind: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("? [1, 2]\n: {a: {[3]: 4}}", "not valid YAML"),
        ("created_at: 2026-99-99", "cannot be read as YAML: ValueError"),
        ("[" * 1000, "cannot be read as YAML: RecursionError"),
        ("kind: \x00", "not valid YAML"),
        ("# " + "x" * (1 << 20), "larger than"),
    ],
)
def test_what_is_no_sidecar_at_all(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=r"nla_meta\.yaml: ") as caught:
        read_sidecar(write(tmp_path, text))
    assert says in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "nla_meta.yaml").write_bytes(b"kind: \xff\xfe")
    with pytest.raises(CheckpointError, match="cannot be read as YAML: UnicodeDecodeError"):
        read_sidecar(tmp_path)


def test_missing_sidecar_says_that_it_is_no_nla(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no nla_meta\.yaml: not an NLA checkpoint"):
        read_sidecar(tmp_path)


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))
    text = f"l0: &l0 [boom]\n{levels}\nkind: nla_model\nrole: *l29\n"
    with pytest.raises(CheckpointError, match="its YAML aliases stand for more than"):
        read_sidecar(write(tmp_path, text))


@pytest.mark.parametrize(("meta", "role"), [(RELEASED_AV, "ar"), (RELEASED_AR, "av")])
def test_the_other_kind_of_checkpoint(tmp_path: Path, meta: dict[str, Any], role: Any) -> None:
    with pytest.raises(CheckpointError, match=r"role: found .* was expected; swap the two"):
        read_sidecar(write(tmp_path, meta), role=role)


@pytest.mark.parametrize(
    "given",
    [
        "loud", "150", "replace", "replace@embedding", "add@output:1", "replace@embedding=0", "add@input:=1",
        "replace@embedding=nan", "replace@embedding:1=2", "add_matched@output:1=raw", "add_matched@output",
        "add_matched@output:1=sqrt_d_model", "replace@embedding=150\n", "subtract@embedding=1",
    ],
)  # fmt: skip
def test_a_given_injection_must_be_one(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match="injection: "):
        read_sidecar(write(tmp_path, RELEASED_AV), injection=given)


def test_what_a_sidecar_says_of_its_injection_is_not_overruled(tmp_path: Path) -> None:
    added = change(RELEASED_AV, extraction={"injection": "add_matched@output:1"})
    with pytest.raises(CheckpointError, match=r"extraction.injection: found 'add_matched@output:1'"):
        read_sidecar(write(tmp_path, added), injection="replace@embedding=150")
    theirs = change(RELEASED_AV, injection={"mode": "additive"})
    with pytest.raises(CheckpointError, match=r"injection.mode: found 'additive'"):
        read_sidecar(write(tmp_path, theirs), injection="replace@embedding=150")
    assert read_sidecar(write(tmp_path, theirs), injection="add_matched@output:1").injection
