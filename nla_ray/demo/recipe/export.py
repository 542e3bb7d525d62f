"""The demo target and the demo corpus on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from nla_ray.demo.dataset import Encoded
from nla_ray.nla.model.backbone import alone
from nla_ray.training.saved.source_files import copy_tokenizer, write_config


def save_target(directory: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Weights, configuration and tokenizer as a directory that transformers 4 and 5 load."""
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    with alone():
        model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    write_config(directory, directory, model.config, model.dtype)
    copy_tokenizer(directory, directory, tokenizer)


def write_corpus(path: Path, encoded: Sequence[Encoded]) -> None:
    """Documents as JSON lines (`id`, `messages` or `text`) with their truth.

    `shown` and `evident` say from which token on each planted property has been stated, and is plain;
    `statements` where each statement begins.
    """
    with path.open("w", encoding="utf-8") as lines:
        for doc in encoded:
            document = doc.document
            content = (
                {"text": document.text} if document.prompt is None else {"messages": document.messages()}
            )
            truth = {name: getattr(document, name) for name in ("topic", "item", "mood", "safety", "theme")}
            where = {
                "shown": doc.shown_from(),
                "evident": doc.evident_from(),
                "statements": doc.statements_from(),
            }
            row = {"id": document.doc_id, **content, "truth": truth | where}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
