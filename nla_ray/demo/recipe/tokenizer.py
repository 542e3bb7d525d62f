"""The demo world's tokenizer: a byte-level BPE with ChatML, made from the world's own text."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from nla_ray.demo import world

MARKER = "㈎"
AV_TEMPLATE = "Explain the vector <concept>{injection_char}</concept>"
AR_TEMPLATE = "Summary of the following text: <text>{explanation}</text> <summary>"
OPEN, CLOSE = "<explanation>", "</explanation>"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def train_tokenizer(vocab: int, seed: int, documents: int = 4000) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab` ids in which the words of the world are single tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - 1,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(seed, documents), trainer)
    bpe.add_tokens([AddedToken(MARKER, normalized=False)])
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def _texts(seed: int, documents: int) -> Iterator[str]:
    rng = random.Random(seed)
    for document in world.documents(seed, documents):
        yield document.text
        yield f"user\n{document.prompt}assistant\n{document.text}"
        words = document.text.split()
        start = rng.randrange(len(words) - 4)
        known = world.shown(document, rng.randrange(len(document.text)))
        known |= {"topic": document.topic, "item": document.item}
        said = world.explanation(document, known, " ".join(words[start : start + 4]), rng)
        yield f"{OPEN}\n{said}\n{CLOSE}"
    yield from [AV_TEMPLATE.replace("{injection_char}", " ")] * 100
    yield from [AR_TEMPLATE.replace("{explanation}", " ")] * 100
