"""The default verbalizer engine: library modules from transformers, decoded through slots or plainly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nla_ray.config.models.injection import Injection
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError, EngineError
from nla_ray.nla.engines.choice import Choice, Kind
from nla_ray.nla.engines.packing import overwrite
from nla_ray.nla.engines.plain import PlainDecoder
from nla_ray.nla.engines.slots import SlotDecoder, SlotLayout
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.model.files.weights import read_mean
from nla_ray.nla.model.stops import stop_ids
from nla_ray.nla.prompt import load_tokenizer, render_av_prompt
from nla_ray.nla.sidecar.read import check_width, read_sidecar, require_injection
from nla_ray.nla.verbalizer import Answer, Request, Sampling, Steps, Verbalizer


class TransformersVerbalizer(Verbalizer):
    """An AV directory, loaded and proven to read what is injected.

    `template_from` is a directory with the chat template where the AV has none (its target).
    `injection` (`KIND@SITE=SCALE`) takes the place of the sidecar's, `facts` are said beside it. Raises
    CheckpointError for a directory that is not a usable AV, EngineError when the injection does not arrive.
    """

    kind: Kind
    """`slots`: shared prefix and static slots; `plain`: the model's own cache, for other states."""
    decoder: SlotDecoder | PlainDecoder
    model: Any

    def __init__(
        self,
        directory: Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        layout: SlotLayout | None = None,
        template_from: Path | None = None,
        injection: str | None = None,
        facts: PairFacts | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        sidecar = read_sidecar(directory, role="av", injection=injection, facts=facts)
        self.directory, self.tagged = directory, sidecar.tagged
        self.tokenizer = load_tokenizer(
            directory, trust_remote_code=trust_remote_code, template_from=template_from
        )
        self.prompt = render_av_prompt(self.tokenizer, sidecar)
        self.model = load_causal_lm(
            directory, dtype=dtype, device=device, trust_remote_code=trust_remote_code
        )
        check_width(sidecar, self.model.config.hidden_size)
        self.stop_ids = stop_ids(self.model, self.tokenizer, directory)
        self.layout = layout or SlotLayout()
        self.injection = self._possible(require_injection(sidecar))
        self.kind = self._decide(directory)
        self.inject_by(self.injection)

    def _decide(self, source: Path) -> Kind:
        return Choice(self.model, self._slots, self._plain, source).decide()

    def _slots(self) -> SlotDecoder:
        return SlotDecoder(
            self.model, self.prompt.ids, self.prompt.slots, self.stop_ids, self.injection, self.layout
        )

    def _plain(self) -> PlainDecoder:
        return PlainDecoder(
            self.model, self.prompt.ids, self.prompt.slots, self.stop_ids, self.injection, self.layout
        )

    def _bind(self) -> SlotDecoder | PlainDecoder:
        return self._slots() if self.kind == "slots" else self._plain()

    def _possible(self, injection: Injection) -> Injection:
        blocks = self.model.config.num_hidden_layers
        if injection.block is not None and injection.block >= blocks:
            raise CheckpointError(f"{injection}: the model has blocks 0..{blocks - 1}")
        if injection.slots != len(self.prompt.slots):
            raise CheckpointError(f"{injection}: the prompt has {len(self.prompt.slots)} markers")
        return injection

    def inject_by(self, injection: Injection) -> None:
        """Put vectors in otherwise from now on.

        Raises CheckpointError for a block that the model does not have, other slots than the prompt's and a
        mean that is not there, EngineError where vectors do not arrive.
        """
        self.injection, self.slots = self._possible(injection), injection.slots
        width = self.model.config.hidden_size
        self.mean = read_mean(self.directory, width).numpy() if injection.centred else None
        self.decoder = self._bind()
        self.check_injection()

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of a model that trains, under its names as a causal LM.

        Raises EngineError where one is missing or has another shape.
        """
        overwrite(self.model, weights)
        self.decoder = self._bind()

    @property
    def d_model(self) -> int:
        return self.decoder.d_model

    @property
    def steps(self) -> Steps:
        return self.decoder.steps

    def decode(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        return self.decoder.decode(requests, sampling)

    def text(self, token_ids: Sequence[int]) -> str:
        return str(
            self.tokenizer.decode(
                list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def check_injection(self) -> None:
        """The canary: two vectors and no vector must give three different first-token distributions.

        Of several slots each must by itself: two rows that differ in it alone. Raises EngineError when two of
        them differ by no more than ten times what the same vector differs from itself in another row, or than
        the rounding of the model's type.
        """
        shape = (2, self.slots, self.d_model)
        first, second = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        changed = [
            np.where(np.arange(self.slots)[:, None] == slot, second, first) for slot in range(self.slots)
        ]
        one_V, again_V, none_V, *changed_SV = self._first_logits([first, first, None, *changed])
        rounding = 4 * torch.finfo(self.model.dtype).eps * float(one_V.std())
        noise = max(10 * float((one_V - again_V).abs().max()), rounding)
        names = [f"two vectors{f' in slot {slot}' if slot else ''}" for slot in range(self.slots)]
        others = {**dict(zip(names, changed_SV, strict=True)), "a vector and none": none_V}
        for name, other_V in others.items():
            difference = float((one_V - other_V).abs().max())
            if not difference > noise:
                raise EngineError(
                    f"the injection does not arrive: logits of the first answer token for {name} differ by "
                    f"{difference:.3g}, numeric noise is {noise:.3g}; likely causes: the slot is not the "
                    "marker's position, something overwrites the embedding after the injection, the scale is "
                    "far too small, or the weights are damaged (NaN, zero attention)"
                )

    def _first_logits(self, vectors: Sequence[np.ndarray | None]) -> list[torch.Tensor]:
        size = self.decoder.group
        parts = [self.decoder.probe(vectors[at : at + size])[:, 0] for at in range(0, len(vectors), size)]
        return list(torch.cat(parts))
