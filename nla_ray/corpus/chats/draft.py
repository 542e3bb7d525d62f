"""A message in the making: what its parts hold, in the only order that chat templates can write."""

from __future__ import annotations

from nla_ray.corpus.chats.model import PLACEHOLDER, Call, Message
from nla_ray.corpus.chats.values import Place

REDACTED = "redacted_thinking"
_ORDER = ("thinking", "text", "a call")


class Draft:
    """Thinking, then text, then calls. A tool's result among the parts ends the message before it."""

    def __init__(self, role: str, *, call_id: str | None = None, name: str | None = None) -> None:
        self._role, self._call_id, self._name = role, call_id or None, name or None
        self._done: list[Message] = []
        self._begin()

    def _begin(self) -> None:
        self._thinking: list[str] = []
        self._text: list[str] = []
        self.calls: list[Call] = []
        self._lost: list[str] = []
        self._stage = 0

    @property
    def thinking(self) -> str:
        """The thinking so far."""
        return "\n".join(self._thinking)

    @thinking.setter
    def thinking(self, text: str) -> None:
        """Thinking that is recorded beside the content is before it, whatever was read first."""
        self._thinking = [text]

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    @property
    def is_blank(self) -> bool:
        """Whether not even an empty text was there."""
        return not (self._text or self._holds() or self._done)

    def think(self, text: str, place: Place) -> None:
        """Add thinking; an empty one is nothing."""
        if text:
            self._go_to(0, place)
            self._thinking.append(text)

    def say(self, text: str, place: Place) -> None:
        """Add text; an empty one may stand anywhere."""
        if text:
            self._go_to(1, place)
        self._text.append(text)

    def call(self, call: Call, place: Place) -> None:
        """Add a call."""
        self._go_to(2, place)
        self.calls.append(call)

    def show(self, what: str, place: Place) -> None:
        """Put a placeholder where something was that is no text."""
        self.say(PLACEHOLDER.format(what), place)
        self.lose(what)

    def lose(self, what: str) -> None:
        """Note what was there and cannot be shown."""
        self._lost.append(what)

    def result(self, result: Message) -> None:
        """Add a tool's result, a message of its own."""
        if self._holds():
            self._done.append(self._message())
        self._done.append(result)
        self._begin()

    def messages(self) -> list[Message]:
        """What became of it: one message, or several where tools' results were among its parts."""
        return [*self._done, self._message()] if self._holds() or not self._done else self._done

    def _message(self) -> Message:
        return Message(
            self._role,
            self.text,
            self.thinking,
            tuple(self.calls),
            self._call_id,
            self._name,
            tuple(dict.fromkeys(self._lost)),
        )

    def _holds(self) -> bool:
        return any(map(bool, (self.text, self._thinking, self.calls, self._lost)))

    def _go_to(self, stage: int, place: Place) -> None:
        if stage < self._stage:
            raise place.error(
                f"{_ORDER[stage]} after {_ORDER[self._stage]}, which no chat template writes in one message; "
                "make it a message of its own"
            )
        self._stage = stage
