"""The commands that the documents give are ones that there are."""

import re
import shlex
from functools import cache
from pathlib import Path

import boto3
import pytest
from botocore import xform_name
from botocore.model import ServiceModel

from local.template import REGION, ROOT

PAGES = ["deploying.md", "operations.md", "disaster-recovery.md"]
# Of the AWS CLI itself, for all services.
GLOBAL = {"query", "output", "region", "cli-binary-format", "cli-input-json", "no-cli-pager"}
# Done by the CLI, not by one operation.
CUSTOM = {("logs", "tail"), ("s3", "cp"), ("s3", "sync"), ("s3", "ls"), ("s3", "rm"), ("s3", "rb")}
# What the CLI has besides the operation's own.
SHORTCUTS = {"authorize-security-group-ingress": {"protocol", "port", "source-group"}}


def _service(name: str) -> str:
    return {"s3api": "s3"}.get(name, name)


@cache
def service(name: str) -> ServiceModel:
    client = boto3.client(_service(name), region_name=REGION)  # type: ignore[call-overload]
    model: ServiceModel = client.meta.service_model
    return model


def commands(page: str) -> list[str]:
    """Every line that begins with a program, of the blocks of code, continued lines joined."""
    text = (ROOT / "docs" / page).read_text()
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [
        line.strip()
        for language, block in fenced
        if language in {"", "sh", "bash"}
        for line in re.sub(r"\\\n", " ", _quotes_joined(block)).splitlines()
    ]


def _quotes_joined(block: str) -> str:
    """Put what is quoted on one line, and a word where something is to be filled in."""
    block = re.sub(r"<[^>\n]+>", "something", block)
    return re.sub(r"'[^']*'|\"[^\"]*\"", lambda found: found[0].replace("\n", " "), block)


def aws_calls(line: str) -> list[list[str]]:
    """Return the words of each call of the AWS CLI, also where its answer is put in."""
    calls: list[list[str]] = []
    inside = False
    for word in shlex.split(line, comments=True):
        if word == "aws" or word.endswith("$(aws"):
            calls.append([])
            inside = True
        elif word in {"|", ">", "&&"} or not inside:
            inside = False
        else:
            calls[-1].append(word)
    return calls


@pytest.mark.parametrize("page", PAGES)
def test_every_call_of_aws_is_one_with_options_that_there_are(page: str) -> None:
    lines = [line for line in commands(page) if re.search(r"\baws ", line)]
    assert lines
    for line in lines:
        for name, operation, *rest in aws_calls(line):
            if (name, operation) in CUSTOM:
                continue
            model = service(name)
            options = {word[2:].partition("=")[0] for word in rest if word.startswith("--")}
            if operation == "wait":
                assert rest[0].replace("-", "_") in _waiters(name), line
                continue
            known = {xform_name(one, "-"): one for one in model.operation_names}
            assert operation in known, line
            shape = model.operation_model(known[operation]).input_shape
            members = {xform_name(one, "-") for one in (shape.members if shape else {})}
            members |= SHORTCUTS.get(operation, set())
            unknown = {one.removeprefix("no-") for one in options - GLOBAL - members} - members
            assert not unknown, f"{line}: {unknown}"


def _waiters(name: str) -> list[str]:
    client = boto3.client(_service(name), region_name=REGION)  # type: ignore[call-overload]
    found: list[str] = client.waiter_names
    return found


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p}" for p in PAGES)])
def test_every_make_target_that_is_named_there_is(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = Path(ROOT / page).read_text()
    named = re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )*make ([a-z]+)", text, re.MULTILINE)
    assert set(named) <= targets
