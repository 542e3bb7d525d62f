"""Write documents of the demo world, with their truth, as JSON lines: `jobs/demo_documents.py --out FILE`."""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.cli.entry import run
from nla_ray.cli.settings import local_file

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    out: Annotated[str, typer.Option(help="The file, .jsonl.")],
    documents: Annotated[int, typer.Option(min=1, help="How many.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="The shipped pair was trained on seed 101.")] = 101,
) -> None:
    """Documents of the planted-concept world; the same options write the same file."""
    from nla_ray.config.models.reference import ModelRef
    from nla_ray.demo import world
    from nla_ray.demo.dataset import encode
    from nla_ray.demo.recipe.export import write_corpus
    from nla_ray.nla.model.resolve import resolve
    from nla_ray.nla.prompt import load_tokenizer

    tokenizer = load_tokenizer(resolve(ModelRef(path="demo:target")))
    file = local_file("--out", out)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_corpus(file, encode(world.documents(seed, documents), tokenizer))
    typer.echo(f"{documents} documents of the demo world, seed {seed}, with their truth: {out}")


if __name__ == "__main__":
    run(app)
