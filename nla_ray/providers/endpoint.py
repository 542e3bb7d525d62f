"""Explanations from a chat endpoint: several requests at once, within a budget."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from nla_ray.chat import Chat, RefusedError
from nla_ray.config.training.training_set import Endpoint
from nla_ray.providers.answers import Answers, Kept
from nla_ray.providers.asking import AskingProvider, Messages, Reply
from nla_ray.providers.provider import BudgetError

OF_THE_TEXT = frozenset({400, 413, 422})
"""Refusals that may lie in one text: too long, or not wanted. Such a row is dropped."""
REFUSALS = 5
"""So many of them before the first answer lie in the configuration."""
CHARS_PER_TOKEN = 3
"""For what a request may cost before it is known; an English token has about 4."""


class Budget:
    """Requests and tokens that may be spent; safe to use from several threads."""

    def __init__(self, max_requests: int, max_tokens: int | None) -> None:
        self._max_requests, self._max_tokens = max_requests, max_tokens
        self.requests = self.tokens = self._reserved = 0
        self._lock = threading.Lock()

    def remember(self, requests: int, tokens: int) -> None:
        """Count what was spent before."""
        with self._lock:
            self.requests += requests
            self.tokens += tokens

    def reserve(self, tokens: int) -> bool:
        """Set aside what a question may cost, if so much is left."""
        with self._lock:
            most = self._max_tokens
            if most is not None and self.tokens + self._reserved + tokens > most:
                return False
            self._reserved += tokens
            return True

    def settle(self, reserved: int, spent: int) -> None:
        """Spend what a question did cost."""
        with self._lock:
            self._reserved -= reserved
            self.tokens += spent

    def take(self) -> bool:
        """Spend one request, if one is left."""
        with self._lock:
            if self.requests >= self._max_requests:
                return False
            self.requests += 1
            return True

    def __str__(self) -> str:
        tokens = "" if self._max_tokens is None else f" and {self.tokens} of {self._max_tokens} tokens"
        return f"{self.requests} of {self._max_requests} requests{tokens}"


class EndpointProvider(AskingProvider):
    """Lives in one process, which knows what is spent."""

    def __init__(self, config: Endpoint, instruction: str, answers: Answers) -> None:
        """Raises ConfigError where the key is not set, InputError where nobody listens at the endpoint."""
        super().__init__(config, instruction, answers)
        self._config, self._chat = config, Chat(config, "provider")
        self._chat.require_listener()
        self.budget = Budget(config.max_requests, config.max_tokens)
        self._answered = self._refused = 0
        self._failed = threading.Event()

    def remember(self, requests: int, tokens: int) -> None:
        """See Provider: a budget is that of the whole set."""
        self.budget.remember(requests, tokens)

    def asked_as(self) -> Mapping[str, Any]:
        """See AskingProvider."""
        config = self._config
        fields = {
            "model": config.model,
            "max_tokens": config.answer_tokens,
            "temperature": config.temperature,
        }
        fields |= config.body
        return {"base_url": config.base_url} | {name: one for name, one in fields.items() if one is not None}

    def ask(self, questions: Mapping[str, Messages], unit: str) -> Iterator[tuple[str, Reply]]:
        """See AskingProvider."""
        spent = False
        pool = ThreadPoolExecutor(self._config.concurrency)
        try:
            futures = {pool.submit(self._ask, key, one, unit): key for key, one in questions.items()}
            for future in as_completed(futures):
                reply = future.result()
                if reply is None:
                    spent = True
                else:
                    yield futures[future], reply
        finally:
            # What is under way is paid for: it is waited for, and kept.
            pool.shutdown(cancel_futures=True)
        if spent:
            raise BudgetError(
                f"provider: the budget is spent ({self.budget}); what was answered is kept: raise "
                "provider.max_requests or provider.max_tokens and run the same command again"
            )

    def _ask(self, key: str, messages: Messages, unit: str) -> Reply | None:
        """Ask and keep; None where the budget is spent, or another question has ended it all."""
        if self._failed.is_set():
            return None
        fields = {name: one for name, one in self.asked_as().items() if name != "base_url"}
        body = json.dumps({"messages": messages} | fields, sort_keys=True).encode()
        estimate = len(body) // CHARS_PER_TOKEN + self._config.answer_tokens
        if not self.budget.reserve(estimate):
            return None
        spent = 0
        try:
            found = self._chat.ask(body, self.budget.take)
            if found is None:
                return None
            spent = found.tokens or estimate
            kept = Kept(raw=found.content, tokens=spent, unit=unit)
            self._answers.put(key, kept)
        except RefusedError as error:
            return self._refusal(error)
        except BaseException:
            self._failed.set()
            raise
        finally:
            self.budget.settle(estimate, spent)
        self._answered += 1
        return Reply(kept)

    def _refusal(self, error: RefusedError) -> Reply:
        """A row without an answer. Raises the error where it is not the text that is refused."""
        self._refused += 1
        if error.status not in OF_THE_TEXT or (not self._answered and self._refused >= REFUSALS):
            self._failed.set()
            raise error
        return Reply(None, f"refused by the endpoint (status {error.status})")
