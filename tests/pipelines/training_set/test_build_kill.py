"""A driver is killed while its answers come; the same command again asks only what was not answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nla_ray.config.loading.load import load
from nla_ray.config.training.training_set import TrainingSetConfig
from nla_ray.pipelines.training_set.build import build_training_set
from tests.chat_server import explains, served
from tests.runtime.processes import PATIENCE_S, ROOT, environment, wait_until
from tests.training_sets import tables, values, write_corpus

ANSWERED, CONCURRENCY = 50, 4


@pytest.mark.slow
def test_nothing_is_paid_for_twice(tmp_path: Path, checkpoint: Callable[[str], Path]) -> None:
    write_corpus(tmp_path)
    count, stuck, free = iter(range(10**6)), threading.Semaphore(0), threading.Event()

    def answer(asked: str) -> tuple[int, str]:
        if next(count) >= ANSWERED and not free.is_set():
            stuck.release()
            free.wait(PATIENCE_S)
        return explains(asked)

    with served(answer) as server:
        config = values(tmp_path, checkpoint("qwen2"))
        config["provider"] |= {"base_url": server.url, "concurrency": CONCURRENCY, "timeout_s": PATIENCE_S}
        path = tmp_path / "set.yaml"
        path.write_text(yaml.safe_dump(config))
        killed(path, lambda: stuck.acquire(timeout=0.01) and kept(tmp_path) == ANSWERED)
        paid = list(server.answered)
        assert len(paid) == len(set(paid)) == ANSWERED == kept(tmp_path)
        assert not (tmp_path / "set" / "manifest.json").exists()
        free.set()
        asked_before = len(server.seen)
        made = build_training_set(load(TrainingSetConfig, path)).set
        asked = [body["messages"][1]["content"] for body in server.seen[asked_before:]]
    assert set(paid).isdisjoint(asked) and len(asked) == len(set(asked))
    assert made.explaining.requests == made.explaining.explained == len(paid) + len(asked) == kept(tmp_path)
    rows = [row for table in tables(tmp_path / "set").values() for row in table.to_pylist()]
    keys = [(row["doc_id"], row["n_raw_tokens"]) for row in rows]
    assert len(keys) == len(set(keys)) == 60 * 3


def kept(folder: Path) -> int:
    """Answers on disk."""
    return len(list(folder.glob("set/work/answers/*/*.json")))


def killed(config: Path, when: Callable[[], bool]) -> None:
    """Start a job and kill it at a moment."""
    command = [sys.executable, str(ROOT / "jobs" / "build_training_set.py"), "--config", str(config)]
    env = os.environ | environment()
    with (
        config.with_suffix(".log").open("wb") as log,
        subprocess.Popen(command, env=env, stdout=log, stderr=log) as running,
    ):
        try:
            wait_until(when, f"{ANSWERED} answers\n{config.with_suffix('.log').read_text()}")
        finally:
            running.send_signal(signal.SIGKILL)
        assert running.wait(PATIENCE_S) == -signal.SIGKILL
