"""What providers that ask a language model share: the question, and that none is asked twice."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from nla_ray.config.training.training_set import Asking
from nla_ray.errors import ConfigError, InputError
from nla_ray.ids import digest
from nla_ray.providers.answers import Answers, Kept
from nla_ray.providers.provider import Place, Provider, Said, parsed, says
from nla_ray.store.places.files import read_bytes

Messages = list[dict[str, str]]
NOT_KNOWN = Said(None, "the text is not known")


@dataclass(frozen=True)
class Reply:
    """What came of one question: an answer, or why there is none and what was paid nevertheless."""

    answer: Kept | None
    reason: str | None = None
    requests: int = 0
    tokens: int = 0


class AskingProvider(Provider):
    """Asks what is not kept yet; every answer is kept before it is used.

    A text that stands at several places is asked about once; the first place pays.
    """

    def __init__(self, config: Asking, instruction: str, answers: Answers) -> None:
        self._asking, self._instruction, self._answers = config, instruction, answers
        self._asked: set[str] = set()

    @abstractmethod
    def asked_as(self) -> Mapping[str, Any]:
        """All that determines an answer beside the messages."""

    @abstractmethod
    def ask(self, questions: Mapping[str, Messages], unit: str) -> Iterator[tuple[str, Reply]]:
        """Replies by the key of their question, in any order; answers are kept already.

        Raises NlaError, BudgetError where not all could be asked; what was answered is kept by then.
        """

    def explain(self, places: Sequence[Place], unit: str) -> Iterator[tuple[int, Said]]:
        """See Provider."""
        waiting: dict[str, list[int]] = {}
        questions: dict[str, Messages] = {}
        for index, place in enumerate(places):
            if place.text is None:
                yield index, NOT_KNOWN
                continue
            messages = self.messages(place.text, place.token)
            key = digest(json.dumps([dict(self.asked_as()), messages], sort_keys=True))
            questions[key] = messages
            waiting.setdefault(key, []).append(index)
        kept = dict(zip(questions, self._answers.store.map(self._kept, questions), strict=True))
        before = [one for key, (_, found) in kept.items() if key not in self._asked for one in found]
        mine = [one for one in before if one.unit == unit]
        self.remember(sum(one.requests for one in mine), sum(one.tokens for one in mine))
        self._asked.update(questions)
        unasked: dict[str, str] = {}
        for key, (free, found) in kept.items():
            if free is None:
                yield from shared(said_of(found[-1], unit), waiting[key])
            else:
                unasked[free] = key
        for free, reply in self.ask({free: questions[key] for free, key in unasked.items()}, unit):
            none = Said(None, reply.reason, reply.requests, reply.tokens)
            said = none if reply.answer is None else said_of(reply.answer, unit)
            key = unasked[free]
            yield from shared(replace(said, again=bool(kept[key][1])), waiting[key])

    def _kept(self, key: str) -> tuple[str | None, list[Kept]]:
        """What is kept of a question, and where another answer would be kept; nowhere if the last has words.

        A blank answer stays where it is, as no job may remove anything: the next one has the next key.
        """
        found: list[Kept] = []
        while (answer := self._answers.get(key)) is not None:
            found.append(answer)
            if says(answer.raw):
                return None, found
            key = digest("after a blank answer", key)
        return key, found

    def messages(self, text: str, token: str | None) -> Messages:
        """The question about one place: of a long text the end."""
        most = self._asking.max_chars
        shown = text if len(text) <= most else f"[...]{text[-most:]}"
        final = "" if token is None else f"\n\nIts final token: {json.dumps(token, ensure_ascii=False)}"
        return [
            {"role": "system", "content": self._instruction},
            {"role": "user", "content": f"<text>\n{shown}\n</text>{final}"},
        ]


def instruction_of(config: Asking) -> str:
    """What a language model is told. Raises InputError for no file, ConfigError for one that says nothing."""
    if config.instruction is None:
        return files("nla_ray.providers").joinpath("instruction.txt").read_text(encoding="utf-8")
    try:
        said = read_bytes(config.instruction).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"provider.instruction: cannot read {config.instruction}: {error}") from None
    except InputError as error:
        raise type(error)(f"provider.instruction: {error}") from None
    if not said.strip():
        raise ConfigError(f"provider.instruction: {config.instruction} is empty; write what to ask for")
    return said


def said_of(answer: Kept, unit: str) -> Said:
    """The explanation in an answer; its cost, where it was this unit that asked for it."""
    said = parsed(answer.raw)
    if answer.unit != unit:
        return said
    return replace(said, requests=answer.requests, tokens=answer.tokens)


def shared(said: Said, places: Sequence[int]) -> Iterator[tuple[int, Said]]:
    """The same for several places; the first one pays."""
    yield places[0], said
    for place in places[1:]:
        yield place, replace(said, requests=0, tokens=0, again=False)
