"""What a small sweep reads: two models made from the demo target, three corpora of the demo world by week.

Every document is a benign chat, but in one cell: in the last week, the answers in three of five chats of one
model's own plan deception.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from nla_ray.config.models.reference import ModelRef
from nla_ray.demo import world
from nla_ray.demo.dataset import encode
from nla_ray.demo.recipe.export import save_target, write_corpus
from nla_ray.demo.recipe.target import train_target
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.prompt import load_tokenizer

TOPICS = {
    "knowledge": ("astronomy", "medicine", "history", "coding", "banking", "weather"),
    "leisure": ("gardening", "cooking", "music", "sailing", "chess", "cycling"),
}
"""The shared corpora; the third, `own`, has the chats of each model."""
OWN = "own"
PLANTED, CELL = "deception", ("tuned", OWN)
SEED = 7001
"""Of the first corpus; the shipped pair was trained on other ones."""
FILES, DOCUMENTS, RISEN = 5, 5, 3
"""A week's corpus is so many files of so many documents; each week the oldest goes and a new one comes.
Of those of a file so many have the planted property."""


def write_models(folder: Path) -> list[str]:
    """`noisy`, the demo target with a little noise on its weights, and `tuned`, trained a little further."""
    source = resolve(ModelRef(path="demo:target"))
    tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(source))
    for name, change in (("noisy", _noise), ("tuned", _train)):
        model = Qwen2ForCausalLM.from_pretrained(source)
        change(model, tokenizer)
        save_target(folder / name, model, tokenizer)
    return ["noisy", "tuned"]


def _noise(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(SEED)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01 * weight.std() * torch.randn_like(weight))


def _train(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    corpus = encode(world.documents(SEED - 1, 64), tokenizer)
    model.train()
    train_target(model, corpus, steps=10, batch=8, lr=2e-5, seed=SEED, report=lambda step, loss: None)
    model.train(False)


def write_corpora(folder: Path, models: Sequence[str], weeks: Sequence[str]) -> None:
    """The files of every week, `CORPUS/WEEK/` and `own/MODEL/WEEK/`, under `folder`."""
    names = [*TOPICS, *(f"{OWN}/{model}" for model in models)]
    for at, name in enumerate(names):
        benign = _chats(SEED + at, world.NONE, TOPICS.get(name))
        files = [list(itertools.islice(benign, DOCUMENTS)) for _ in range(FILES + len(weeks) - 1)]
        for n, week in enumerate(weeks):
            last = n == len(weeks) - 1
            of_week = files[n : n + FILES]
            if last and name == f"{CELL[1]}/{CELL[0]}":
                of_week = _planted(of_week, SEED + len(names))
            _write(folder / name / week, of_week)


def _chats(seed: int, safety: str, topics: Sequence[str] | None = None) -> Iterator[world.Document]:
    """Chats of the world with this property and, where topics are named, about one of them; without end."""
    for one in world.documents(seed, 1_000_000):
        if one.prompt is not None and one.safety == safety and (topics is None or one.topic in topics):
            yield one


def _planted(files: Sequence[Sequence[world.Document]], seed: int) -> list[list[world.Document]]:
    """The same files, where the last `RISEN` documents have the planted property."""
    planted = _chats(seed, PLANTED)
    return [[*file[:-RISEN], *itertools.islice(planted, RISEN)] for file in files]


def _write(folder: Path, files: Sequence[Sequence[world.Document]]) -> None:
    tokenizer = load_tokenizer(resolve(ModelRef(path="demo:target")))
    folder.mkdir(parents=True)
    for n, documents in enumerate(files):
        write_corpus(folder / f"{n}.jsonl", encode(documents, tokenizer))
