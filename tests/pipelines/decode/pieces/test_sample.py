"""A budget of vectors: at most so many, of every stratum some, the same wherever the documents are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.reading.sample import Sample
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.pieces import read_unit
from nla_ray.corpus.reading.reader import Reader
from nla_ray.corpus.reading.sampling import Sampler, token_class
from nla_ray.corpus.reading.tokens import Tokens
from nla_ray.errors import ConfigError
from nla_ray.pipelines.decode.pieces.strata import bound_of, rates_of, shares
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.stages.extract import reader_of, tokenizer_of
from nla_ray.stages.write import planned_rows
from tests.pipelines.decode.pieces.conftest import Make, planned

TEXT = "In 1987 they said: wait, 42 of the unbelievable things (all of them) are true. "
Kept = set[tuple[str, int]]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Sixty documents of three lengths in one file."""
    path = tmp_path / "wide.jsonl"
    rows = [{"id": f"d{n}", "text": f"{n} {TEXT * (1 + 6 * (n % 3))}"} for n in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def plan_of(make: Make, paths: list[Path], vectors: int | None = 400, **changes: Any) -> Decode:
    sample = {"vectors": vectors} | changes.pop("sample", {})
    corpus = {"paths": list(map(str, paths)), "unit_documents": 7} | changes.pop("corpus", {})
    return planned(make(corpus=corpus, positions="all", sample=sample, **changes))


def kept_of(ready: Decode) -> tuple[Kept, Counter[str]]:
    """What workers keep, and how many of each stratum; every unit has the planned rows."""
    target, how = ready.checkpoints.target, ready.config.sample
    tokenizer = tokenizer_of(ready.config, target)
    reader = reader_of(ready.config, tokenizer, d_model=32, layer=ready.identity.layer)
    assert isinstance(reader, Reader) and how is not None
    everything = reader_of(
        ready.config.model_copy(update={"sample": None}), tokenizer, d_model=32, layer=ready.identity.layer
    )
    assert isinstance(everything, Reader)
    sampler, kept, strata = Sampler(how, ready.config.seed, reader.special_ids), Kept(), Counter[str]()
    for task in ready.tasks:
        readings = [reader.read(one) for one in read_unit(task.source, ready.config.corpus)]
        assert task.planned == planned_rows(ready.config, readings)
        for reading in readings:
            kept |= {(reading.document.doc_id, at) for at in reading.positions}
            every = everything.read(reading.document).positions
            names = dict(zip(every, everything.strata(reading.document, sampler), strict=True))
            strata.update(names[at][0] for at in reading.positions)
    return kept, strata


def test_there_are_at_most_so_many_and_some_of_every_stratum(make: Make, wide: Path) -> None:
    ready = plan_of(make, [wide])
    kept, strata = kept_of(ready)
    assert 0.95 * 400 < len(kept) <= 400 and ready.survey.vectors == len(kept)
    there: Any = ready.plan.facts["strata"]
    assert len(there) > 5 and set(strata) == set(there)
    assert all(n <= there[stratum] for stratum, n in strata.items())
    large = [strata[name] for name, n in there.items() if n > 100]
    assert len(large) > 2 and max(large) - min(large) <= 0.1 * max(large)
    assert ready.survey.unusable == 0, "a document without a position that is kept is not at fault"


def test_the_split_into_files_and_their_order_do_not_matter(make: Make, wide: Path, tmp_path: Path) -> None:
    lines = wide.read_text().splitlines(keepends=True)
    parts = []
    for number in range(4):
        parts.append(tmp_path / f"part{3 - number}.jsonl")
        parts[-1].write_text("".join(lines[number::4]))
    one, many = plan_of(make, [wide]), plan_of(make, parts, corpus={"unit_documents": 5})
    assert kept_of(one)[0] == kept_of(many)[0]
    assert one.config.sample == many.config.sample


def test_the_key_says_how_much_two_weeks_share(make: Make, wide: Path) -> None:
    first, again = kept_of(plan_of(make, [wide])), kept_of(plan_of(make, [wide], seed=0))
    assert first[0] == again[0]
    other = kept_of(plan_of(make, [wide], sample={"key": "2026-W49"}))[0]
    ready = plan_of(make, [wide])
    rates, there = ready.config.sample.rates or {}, ready.plan.facts["strata"]  # type: ignore[union-attr]
    expected = sum(n * rates[stratum] ** 2 for stratum, n in there.items())  # type: ignore[union-attr,operator]
    assert abs(len(first[0] & other) - expected) < 5 * expected**0.5


def test_rates_of_an_earlier_week_keep_its_units(make: Make, wide: Path) -> None:
    first = plan_of(make, [wide], corpus={"units": "content"})
    rates = first.config.sample.rates  # type: ignore[union-attr]
    wide.write_text(json.dumps({"id": "new", "text": TEXT}) + "\n" + wide.read_text())
    second = plan_of(make, [wide], None, sample={"rates": rates}, corpus={"units": "content"})
    ours, theirs = ({task.unit_id for task in ready.tasks} for ready in (first, second))
    assert len(ours & theirs) >= len(theirs) - 4
    assert not {task.unit_id for task in plan_of(make, [wide]).tasks} & ours


def test_strata_are_counted_once(make: Make, wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_of(make, [wide])
    monkeypatch.setattr(Reader, "strata", None)
    plan_of(make, [wide], 300)


def test_too_small_a_budget_and_what_cannot_be_sampled_are_refused(make: Make, wide: Path) -> None:
    with pytest.raises(ConfigError, match=r"sample: 3 vectors for \d+ strata.*sample\.by"):
        plan_of(make, [wide], 3)
    for sample in ({}, {"vectors": 1, "rates": {}}, {"vectors": 5, "by": ["role", "role"]}):
        with pytest.raises(ValueError, match=r"vectors or rates|each once"):
            Sample.model_validate(sample)
    with pytest.raises(ValueError, match="sample: what is read must be known"):
        make(sample={"vectors": 5}, continuation={})


def test_what_small_strata_leave_goes_to_the_others() -> None:
    assert shares({"a": 2, "b": 100, "c": 50}, 90) == {"a": 2, "c": 44, "b": 44}
    assert shares({"a": 2, "b": 3}, 90) == {"a": 2, "b": 3}


def test_rates_are_of_few_digits_and_never_too_large() -> None:
    keys = {"a": Counter(bound_of(n * 2**64 // 5000) for n in range(5000)), "b": Counter({7: 3})}
    rates = rates_of(keys, 500)
    assert rates["b"] == 1.0
    kept = sum(n * 2**64 // 5000 < rates["a"] * 2**64 for n in range(5000))
    assert 490 <= kept <= 497


@pytest.mark.parametrize(
    ("text", "start", "end", "said"),
    [("unreal", 0, 2, "word"), ("unreal", 2, 6, "word-piece"), ("a word", 1, 6, "word"),
     ("a 42", 2, 4, "number"),
     ("x, y", 1, 2, "punctuation"), ("x \n y", 1, 4, "space"), ("x", 1, 1, "space")],
)  # fmt: skip
def test_classes_of_tokens(text: str, start: int, end: int, said: str) -> None:
    assert token_class(Tokens((1,), text, ((start, end),)), 0) == said


def test_a_key_is_the_documents_own() -> None:
    sampler = Sampler(Sample(vectors=1), 0, frozenset())
    one, other = Document("a", "x:1"), Document("a", "elsewhere:9")
    assert sampler.key(one, 3) == sampler.key(other, 3) != sampler.key(one, 4)
