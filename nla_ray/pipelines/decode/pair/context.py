"""How long a text a model was made for, held against what it is asked to read and to write."""

from __future__ import annotations

from pathlib import Path

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.reading.corpus import Corpus
from nla_ray.errors import ConfigError
from nla_ray.nla.model.backbone import context_of, load_config
from nla_ray.nla.prompt import encode_av_prompt, load_tokenizer
from nla_ray.nla.sidecar.read import Sidecar
from nla_ray.stages.extract import Extracts


def settled_corpus(config: Extracts, target: Path | None) -> Corpus:
    """The corpus with the number of tokens that its documents are cut at: what the target has room for.

    Raises ConfigError where more is asked for.
    """
    corpus, ref = config.corpus, config.target
    if target is None or ref is None or corpus.vectors is not None:
        return corpus
    longest, context = corpus.longest, _context(ref, target)
    if context is not None:
        answer = 0 if config.continuation is None else config.continuation.max_new_tokens
        made = _made_for(ref, context)
        if answer >= context:
            raise ConfigError(f"continuation.max_new_tokens: {answer} tokens, and {made}; take fewer")
        room = context - answer
        beside = f", with the answer's {answer} at most {room}" if answer else ""
        window = None if corpus.window is None else corpus.window.tokens
        for name, asked in (("max_tokens", corpus.max_tokens), ("window.tokens", window)):
            if asked is not None and asked > room:
                raise ConfigError(f"corpus.{name}: {asked} tokens, and {made}{beside}; take fewer")
        longest = min(longest, room)
    return corpus.model_copy(update={"max_tokens": longest})


def check_answers(config: DecodeConfig, av: Path, target: Path | None, sidecar: Sidecar) -> None:
    """Raise ConfigError where the verbalizer has no room for its prompt and the longest answer."""
    ref, answer = config.models.av, config.sampling.max_new_tokens
    context = _context(ref, av)
    if context is None:
        return
    tokenizer = load_tokenizer(av, trust_remote_code=ref.trust_remote_code, template_from=target)
    room = context - len(encode_av_prompt(tokenizer, sidecar)[1])
    if answer > room:
        raise ConfigError(
            f"sampling.max_new_tokens: {answer} tokens, and {_made_for(ref, context)}, its prompt of "
            f"{context - room} among them; take at most {room}"
        )


def _context(ref: ModelRef, directory: Path) -> int | None:
    return context_of(load_config(directory, trust_remote_code=ref.trust_remote_code))


def _made_for(ref: ModelRef, context: int) -> str:
    return f"{ref} was made for {context} (max_position_embeddings)"
