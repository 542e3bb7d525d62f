"""The tokenizer that a GGUF file describes: byte-level BPE, built of its words and checked by them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import PreTrainedTokenizerFast

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.gguf.header import GgufFile

TEMPLATE = "tokenizer.chat_template"

_CONTROL, _USER_DEFINED = 3, 4

# Words, digits (in groups as long as said), and signs with the line ends behind them.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Split:
    """How text is cut before merges apply; `pattern` None is GPT-2's own."""

    pattern: str | None = None
    single_digits: bool = False
    composed: bool = False
    """Text is brought to Unicode's composed form (NFC) first."""
    whole_first: bool = False
    """A piece that is a token by itself is taken whole, whatever the merges say; and a BOS stands first."""


_LLAMA3 = Split(_WORDS.format(digits="{1,3}"), whole_first=True)
_QWEN2 = Split(_WORDS.format(digits=""), composed=True)

SPLITS = {
    "gpt-2": Split(),
    "smollm": Split(single_digits=True),
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
}
"""`tokenizer.ggml.pre`: a file names the way in which text is cut and does not hold it."""

_PROBES = (
    "The quick brown fox's 3 dens, 1234567 and 0.25; it's \"quoted\" (twice).",
    "  indented\n\tdef f(x_1):\r\n\n    return x**2  # ok   ",
    "Zażółć gęślą jaźń; naïve café; Größe; Ελληνικά; здравствуй; 你好，世界; こんにちは; مرحبا; 👩‍👩‍👧 ½",
    "",
)


def tokenizer_of(file: GgufFile) -> PreTrainedTokenizerFast:
    """The tokenizer with its special tokens and chat template.

    Raises CheckpointError for another kind of vocabulary, another way of cutting text, and a tokenizer that
    does not give each id the file's word or does not return texts as they were.
    """
    kind = file.of("tokenizer.ggml.model", str)
    if kind != "gpt2":
        raise CheckpointError.field(
            file.path,
            "tokenizer.ggml.model",
            kind,
            "byte-level BPE (gpt2) is converted: use the original checkpoint in Hugging Face format",
        )
    name = file.of("tokenizer.ggml.pre", str, "none")
    if name not in SPLITS:
        raise CheckpointError.field(
            file.path,
            "tokenizer.ggml.pre",
            name,
            f"known are {', '.join(SPLITS)}; cut otherwise, text has other tokens than the model learned: "
            "use the "
            "original checkpoint in Hugging Face format",
        )
    tokens = file.listed("tokenizer.ggml.tokens", str)
    special = {
        f"{role}_token": _special(file, tokens, key)
        for role, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
    }
    _special(file, tokens, "eot")
    core = _core(file, SPLITS[name], tokens)
    if file.of("tokenizer.ggml.add_bos_token", bool, SPLITS[name].whole_first):
        _begin_with(core, special["bos_token"], file)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        chat_template=file.of(TEMPLATE, str) if TEMPLATE in file.fields else None,
        model_max_length=file.of(f"{file.architecture}.context_length", int),
        clean_up_tokenization_spaces=False,
        **special,
    )
    _check(file, tokenizer, tokens, composed=SPLITS[name].composed)
    return tokenizer


def stop_ids(file: GgufFile) -> list[int]:
    """The tokens that end an answer: the end of a text and, where it is another one, of a turn."""
    named = (file.fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot"))
    return sorted({one for one in named if isinstance(one, int)})


def _core(file: GgufFile, split: Split, tokens: list[str]) -> Tokenizer:
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ")) for merge in file.listed("tokenizer.ggml.merges", str)]
    kinds = file.listed("tokenizer.ggml.token_type", int)
    if len(vocabulary) != len(tokens) or len(kinds) != len(tokens):
        raise CheckpointError(
            f"{file.path}: tokenizer.ggml: {len(tokens)} tokens of which {len(vocabulary)} differ, and "
            f"{len(kinds)} types; the file is damaged"
        )
    try:
        core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=split.whole_first))
    # The tokenizers library raises bare Exception for merges that it cannot use.
    except Exception as error:
        raise CheckpointError(f"{file.path}: tokenizer.ggml.merges: {str(error)[:200]}") from error
    if split.composed:
        core.normalizer = normalizers.NFC()
    core.pre_tokenizer = _cutter(split)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    typed = list(zip(tokens, kinds, strict=True))
    core.add_special_tokens(
        [AddedToken(one, normalized=False, special=True) for one, kind in typed if kind == _CONTROL]
    )
    core.add_tokens([AddedToken(one, normalized=False) for one, kind in typed if kind == _USER_DEFINED])
    return core


def _cutter(split: Split) -> pre_tokenizers.PreTokenizer:
    if split.pattern is None:
        digits = [pre_tokenizers.Digits(individual_digits=True)] if split.single_digits else []
        return pre_tokenizers.Sequence(
            [*digits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
        )
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split.pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _special(file: GgufFile, tokens: list[str], name: str) -> str | None:
    key = f"tokenizer.ggml.{name}_token_id"
    found = file.fields.get(key)
    if found is None:
        return None
    if type(found) is not int or not 0 <= found < len(tokens):
        raise CheckpointError.field(file.path, key, found, f"an id below {len(tokens)} was expected")
    return tokens[found]


def _begin_with(core: Tokenizer, bos: str | None, file: GgufFile) -> None:
    if bos is None:
        raise CheckpointError(
            f"{file.path}: texts begin with a BOS, and tokenizer.ggml.bos_token_id is missing"
        )
    core.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=[bos, "$A"], special_tokens=[(bos, core.token_to_id(bos))]),
        ]
    )


def _check(file: GgufFile, tokenizer: PreTrainedTokenizerFast, tokens: list[str], *, composed: bool) -> None:
    found = tokenizer.convert_ids_to_tokens(list(range(len(tokens))))
    if len(tokenizer) != len(tokens) or found != tokens:
        raise CheckpointError(
            f"{file.path}: tokenizer.ggml: {len(tokenizer)} tokens were built from {len(tokens)} of the "
            "file, or "
            "some have another id; the file is damaged"
        )
    for text in _PROBES:
        ids = tokenizer.encode(text, add_special_tokens=False)
        back = tokenizer.decode(ids, skip_special_tokens=False)
        if back != (unicodedata.normalize("NFC", text) if composed else text):
            raise CheckpointError(
                f"{file.path}: its tokenizer does not return a text as it was: {text[:40]!r} became "
                f"{back[:40]!r}; "
                "the vocabulary or its merges are damaged"
            )
