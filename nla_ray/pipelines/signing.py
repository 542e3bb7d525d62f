"""A detached signature over a report, in OpenSSH's format: made and checked by `ssh-keygen`, as by hand."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from nla_ray import __version__
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.write import RENDERERS
from nla_ray.errors import ConfigError, InputError, NoFileError
from nla_ray.evaluation.model import Evaluation
from nla_ray.fleet.report.model import FleetReport
from nla_ray.store.places.tree import Tree

NAMESPACE = "nla-ray-report"
"""What the signature is for: one over anything else does not fit."""
NAMELESS = "signer"
"""Whose a key is that comes as a bare line of a public key."""
_SECURITY_KEY = r"sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
_BARE = re.compile(rf"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp\d+|{_SECURITY_KEY}) ")
REPORT = "report.json"


@dataclass(frozen=True)
class Checked:
    """What was found of a report's signature; sound where there is no problem."""

    signer: str
    """Who signed it, of those who may, and with which key; empty: nobody of them."""
    problems: Sequence[str]
    pages: Sequence[str]
    """Files beside the report that are what this nla_ray writes of it."""
    absent: Sequence[str] = ()
    """Files that it could write of it, and that are not there."""


def sign(place: str, key: Path) -> str:
    """Sign the report at a folder, an `s3://bucket/prefix` or a file; returns where the signature is.

    `key` is a private key as ssh reads it, or a public one whose private half an agent holds. Raises
    NoFileError where there is no report, ConfigError for a key that cannot be used, InputError for what is no
    report by this version, and where somebody else's signature of the same report is there.
    """
    tree, name = _located(place)
    data = _read(tree, name)
    _require_report(f"{tree.url}/{name}", data)
    if not key.is_file():
        raise ConfigError(f"{key}: there is no key; make one with ssh-keygen -t ed25519 -f {key}")
    ended = _ssh_keygen(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key)], data)
    if ended.returncode:
        raise ConfigError(f"{key}: cannot sign with it: {_why(ended)}")
    there = tree.read(f"{name}.sig")
    if there is not None and there != ended.stdout and (by := _fits(data, there)):
        raise InputError(
            f"{tree.url}/{name}.sig: is a signature of this report already, by {by}; remove it to sign anew"
        )
    tree.write(f"{name}.sig", ended.stdout)
    return f"{tree.url}/{name}.sig"


def check(place: str, signers: Path) -> Checked:
    """Check the signature of a report, and that the pages beside it are those of the report.

    `signers` is a file of those who may sign, in the form of ssh's allowed_signers, or a public key. Raises
    NoFileError where there is no report or no such file, ConfigError for signers that cannot be used.
    """
    tree, name = _located(place)
    data, allowed = _read(tree, name), _allowed(signers)
    signature = tree.read(f"{name}.sig")
    if signature is None:
        return Checked("", [f"not signed: there is no {name}.sig; nla-ray sign makes one"], [])
    by = _fits(data, signature)
    if by is None:
        return Checked(
            "", [f"{name}.sig does not fit {name}: one of them was changed, or it signs another"], []
        )
    who = _who(data, signature, allowed)
    if who is None:
        return Checked("", [f"signed by {by}, who is not among those of {signers}"], [])
    pages = dict(_pages(tree, name, data))
    there = {page: same for page, same in pages.items() if same is not None}
    return Checked(
        f"{signers.name if who == NAMELESS else who}, {by}",
        [f"{page}: is not what this nla_ray writes of {name}" for page, same in there.items() if not same],
        [page for page, same in there.items() if same],
        [page for page, same in pages.items() if same is None],
    )


def is_report(place: str) -> bool:
    """Whether a report is there."""
    tree, name = _located(place)
    return tree.read(name) is not None


def _located(place: str) -> tuple[Tree, str]:
    folder, _, name = place.rstrip("/").rpartition("/")
    parent = folder or ("/" if place.startswith("/") else ".")
    return (Tree(parent), name) if name.endswith(".json") else (Tree(place), REPORT)


def _read(tree: Tree, name: str) -> bytes:
    data = tree.read(name)
    if data is None:
        raise NoFileError(f"{tree.url}: has no {name}; name the folder that a report was written to")
    return data


def _require_report(name: str, data: bytes) -> None:
    """Raise InputError for what is none of our reports: of an audit, of a sweep's week, of an evaluation."""
    problems = []
    for kind in (Report, FleetReport, Evaluation):
        try:
            kind.model_validate_json(data)
            return
        except ValidationError as error:
            problems.append(error)
    nearest = min(problems, key=lambda one: one.error_count()).errors(include_url=False)[0]
    where = ".".join(map(str, nearest["loc"])) or "as a whole"
    raise InputError(
        f"{name}: is no report that this nla_ray writes ({where}: {nearest['msg']}); name the folder of one, "
        "or sign it with the version that wrote it"
    )


def _pages(tree: Tree, name: str, data: bytes) -> Iterator[tuple[str, bool | None]]:
    """Files of a report by this version: whether each is made of these data; None: it is not there."""
    try:
        report = Report.model_validate_json(data)
    except ValidationError:
        return
    stem = name.removesuffix(".json")
    for form, render in RENDERERS.items():
        if form != "json" and report.version == __version__:
            page = tree.read(f"{stem}.{form}")
            yield f"{stem}.{form}", None if page is None else page == render(report).encode()


def _allowed(signers: Path) -> bytes:
    """The signers as `allowed_signers`: the lines of a public key get a name."""
    try:
        lines = [line.strip() for line in signers.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise NoFileError(f"--signers {signers}: there is no such file; name a public key") from None
    except OSError as error:
        raise ConfigError(f"--signers {signers}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"--signers {signers}: is no text; name a public key, which ends with .pub"
        ) from None
    if any(line.startswith("-----BEGIN") for line in lines):
        raise ConfigError(f"{signers}: is a private key; name the public one, which ends with .pub")
    told = [line for line in lines if line and not line.startswith("#")]
    if not told:
        raise ConfigError(f"{signers}: names nobody who may sign; a line is NAME ssh-ed25519 KEY")
    named = (f"{NAMELESS} {line}" if _BARE.match(line) else line for line in told)
    return "".join(f"{line}\n" for line in named).encode()


def _fits(data: bytes, signature: bytes) -> str | None:
    """By which key the data were signed; None where the signature is not one of them."""
    with _files(signature=signature) as (kept,):
        ended = _ssh_keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", kept], data)
    words = ended.stdout.decode(errors="replace").split()
    return " ".join(words[-3:]) if ended.returncode == 0 else None


def _who(data: bytes, signature: bytes, allowed: bytes) -> str | None:
    """Whose of the allowed keys it is, and may sign this now; None for nobody's."""
    with _files(signature=signature, allowed=allowed) as (kept, names):
        found = _ssh_keygen(["-Y", "find-principals", "-s", kept, "-f", names], b"")
        for who in found.stdout.decode(errors="replace").splitlines():
            asked = ["-Y", "verify", "-n", NAMESPACE, "-s", kept, "-f", names, "-I", who]
            if _ssh_keygen(asked, data).returncode == 0:
                return who
    return None


@contextmanager
def _files(**contents: bytes) -> Iterator[list[str]]:
    """Paths of files with these contents, for a while."""
    with TemporaryDirectory(prefix="nla-ray-") as folder:
        paths = {Path(folder) / name: content for name, content in contents.items()}
        for path, content in paths.items():
            path.write_bytes(content)
        yield [str(path) for path in paths]


def _ssh_keygen(arguments: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", *arguments], input=data, capture_output=True, check=False)
    except OSError:
        raise ConfigError("ssh-keygen is not here; install OpenSSH 8.9 or newer") from None


def _why(ended: subprocess.CompletedProcess[bytes]) -> str:
    said = " ".join(ended.stderr.decode(errors="replace").replace("@", "").split())
    return "others may read it; chmod 600" if "too open" in said else said[:300] or "ssh-keygen failed"
