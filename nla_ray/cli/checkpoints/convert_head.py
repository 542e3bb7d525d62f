"""`nla-ray convert-head`: a reconstructor's pickled head as safetensors, its tensors alone read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert_head_command(
    pickle: Annotated[Path, typer.Argument(metavar="FILE", help="The pickled head, such as linear_head.pt.")],
    to: Annotated[
        Path | None, typer.Option(help="The directory to write to; without it that of the file.")
    ] = None,
) -> None:
    """Write a reconstructor's pickled head as value_head.safetensors.

    No code of the file is run: what is no tensor in it is refused. A head is weight [d, d] and bias [d].
    """
    from nla_ray.nla.model.heads.pickled import convert

    typer.echo(convert(pickle, to or pickle.parent))
