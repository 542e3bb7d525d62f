"""Write the schema files that follow from the code: `make schemas`. A test fails where they differ."""

from __future__ import annotations

import json
from pathlib import Path

from nla_ray.config.decode import DecodeConfig
from nla_ray.tables import EXPLANATIONS, ddl

FOLDER = Path(__file__).parent


def render() -> dict[str, str]:
    """Content of every schema file by name."""
    decode = DecodeConfig.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "decode.schema.json": json.dumps(decode, indent=2, ensure_ascii=False) + "\n",
        "explanations.sql": ddl(EXPLANATIONS),
    }


if __name__ == "__main__":
    for name, content in render().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
