"""Upload of a finished pair to a Hugging Face repository, with the user's own token."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from nla_ray.errors import ConfigError, InputError
from nla_ray.nla.sidecar.read import Role
from nla_ray.store.places.tree import Tree

TOKEN = "HF_TOKEN"


def require_token() -> str:
    """The token in the environment. Raises ConfigError where there is none."""
    token = os.environ.get(TOKEN)
    if not token:
        raise ConfigError(f"upload: needs a token with write access in {TOKEN}; set it, or leave upload out")
    return token


def upload(tree: Tree, repository: str, places: Mapping[Role, str]) -> str:
    """Put AV and AR into sub-folders `av` and `ar`; a repository that is not there is made, private.

    Returns its address. Raises InputError where the hub refuses.
    """
    api = HfApi(token=require_token())
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        for role, place in places.items():
            with TemporaryDirectory(prefix="nla_ray-") as scratch:
                folder = tree.fetch(place, Path(scratch))
                api.upload_folder(repo_id=repository, folder_path=folder, path_in_repo=role)
    except (HfHubHTTPError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"upload: {repository}: {said}; the pair is complete in {tree.url}, run again to upload it"
        ) from None
    return f"{api.endpoint}/{repository}"
