"""Explanations from a chat endpoint: several requests at once, within a budget."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from nla_ray.chat.client import Chat, Purse, UnansweredError
from nla_ray.config.training.training_set import Endpoint
from nla_ray.nla.outcomes import OPEN
from nla_ray.providers.answers import Answers, Kept
from nla_ray.providers.asking import AskingProvider, Messages, Reply
from nla_ray.providers.provider import BudgetError

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

    def take(self, tokens: int) -> bool:
        """Spend one request and set aside what it may cost, if so much is left."""
        with self._lock:
            most = self._max_tokens
            if most is not None and self.tokens + self._reserved + tokens > most:
                return False
            if self.requests >= self._max_requests:
                return False
            self.requests += 1
            self._reserved += tokens
            return True

    def settle(self, reserved: int, spent: int) -> None:
        """Spend what a request did cost."""
        with self._lock:
            self._reserved -= reserved
            self.tokens += spent

    def __str__(self) -> str:
        tokens = "" if self._max_tokens is None else f" and {self.tokens} of {self._max_tokens} tokens"
        return f"{self.requests} of {self._max_requests} requests{tokens}"


class Bill(Purse):
    """What all attempts at one question cost; each of them `estimate` tokens where nobody says how many."""

    def __init__(self, budget: Budget, estimate: int) -> None:
        self._budget, self._estimate = budget, estimate
        self.requests = self.tokens = 0

    def take(self) -> bool:
        """See Purse."""
        taken = self._budget.take(self._estimate)
        self.requests += taken
        return taken

    def pay(self, tokens: int | None) -> None:
        """See Purse."""
        spent = self._estimate if tokens is None else tokens
        self._budget.settle(self._estimate, spent)
        self.tokens += spent


class EndpointProvider(AskingProvider):
    """Lives in one process, which knows what is spent."""

    def __init__(self, config: Endpoint, instruction: str, answers: Answers) -> None:
        """Raises ConfigError where the key is not set, InputError where nobody listens at the endpoint."""
        super().__init__(config, instruction, answers)
        self._config, self._chat = config, Chat(config, "provider", OPEN)
        self._chat.require_listener()
        self.budget = Budget(config.max_requests, config.max_tokens)
        self._failed = threading.Event()

    def close(self) -> None:
        """See Provider."""
        self._chat.close()

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
        bill = Bill(self.budget, len(body) // CHARS_PER_TOKEN + self._config.answer_tokens)
        try:
            found = self._chat.ask(body, bill)
            if found is None:
                return None
            kept = Kept(raw=found.content, tokens=bill.tokens, requests=bill.requests, unit=unit)
            self._answers.put(key, kept)
        except UnansweredError as error:
            if error.of_the_text:
                return Reply(None, error.reason, bill.requests, bill.tokens)
            self._failed.set()
            raise
        except BaseException:
            self._failed.set()
            raise
        return Reply(kept)
