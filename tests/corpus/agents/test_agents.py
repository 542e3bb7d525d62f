"""Agent transcripts of every format through every template: what was said is seen, or its loss is named."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest

from nla_ray.corpus.documents.pieces import read_unit, units_of
from tests.corpus.agents.formats import FORMATS, heard, links, told
from tests.corpus.agents.master import NUMBER, SMALL
from tests.corpus.agents.reading import FAMILIES, STORIES, Written, compare, write_all

WHOLE_FILES = ("inspect-eval", "inspect-chunked", "inspect-json", "scout", "atif", "claude-code")

Files = Callable[[str], Written]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return cache(lambda name: write_all(name, tmp_path_factory.mktemp(name)))


@pytest.mark.parametrize("name", FORMATS)
def test_a_story_is_the_same_chat_in_every_format(name: str, files: Files) -> None:
    written = files(name)
    for story in written.stories:
        document = written.documents[story.name]
        assert document.chat is not None, document.problem
        assert heard(document.chat) == told(story, FORMATS[name])
        pairs = links(document.chat)
        assert all(call == answered for call, answered in pairs)
        assert all(call for call, _ in pairs) == (FORMATS[name].ids or not pairs)


def test_every_trait_is_in_many_stories_and_every_format_tells_some() -> None:
    traits = Counter(trait for story in STORIES for trait in story.traits())
    assert len(STORIES) == NUMBER and len(traits) == 7 and min(traits.values()) > 3
    assert all(sum(map(how.holds, STORIES)) > NUMBER // 6 for how in FORMATS.values())


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_compaction_is_said(name: str, files: Files) -> None:
    written = files(name)
    said = {one for one, document in written.documents.items() if "compacted" in " ".join(document.noted)}
    compacted = [one for one in written.stories if one.earlier]
    assert said == {one.name for one in compacted} and len(said) > 1
    # What was said before it, where it was recorded, is a document of its own.
    apart = [one for key, one in written.documents.items() if "/" in key]
    assert len(apart) == (len(compacted) if FORMATS[name].silent else 0)
    assert sorted(len(one.chat.messages) for one in apart if one.chat) == sorted(
        len(one.earlier) for one in compacted[: len(apart)]
    )


@pytest.mark.parametrize("name", FORMATS)
def test_a_worker_reads_what_the_planner_read(name: str, files: Files) -> None:
    corpus = files(name).corpus.model_copy(update={"unit_documents": 7})
    units = list(units_of(corpus))
    assert [read_unit(pickle.loads(pickle.dumps(unit)), corpus) for unit, _ in units] == [  # noqa: S301
        documents for _, documents in units
    ]
    assert sum(len(documents) for _, documents in units) == len(files(name).documents)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_was_said_is_seen_or_named(family: str, files: Files) -> None:
    dice, results = random.Random(family), Counter[str]()
    for name in FORMATS:
        small = [one for one in files(name).stories if one not in STORIES[SMALL:]]
        plain, worked = (
            [one for one in small if bool(one.tools) is with_tools] for with_tools in (False, True)
        )
        for story in (dice.choice(plain), dice.choice(worked)):
            results[compare(files(name).documents[story.name], story, name, family)] += 1
    assert results.total() == 2 * len(FORMATS) and results["whole"] > 3
