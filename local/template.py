"""Reading template.yaml and expanding it the way CloudFormation does on AWS."""

import copy
import json
import logging
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

type Template = dict[str, Any]

ROOT = Path(__file__).parent.parent
ARTIFACTS_BUCKET = "fieldgate-artifacts"
REGION = "af-south-1"

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"
NESTED_STACK = "AWS::CloudFormation::Stack"


def read_template(path: Path = ROOT / "template.yaml") -> Template:
    """Parse the SAM template; functions tagged like !Ref become their long form."""
    template: Template = yaml_parse(path.read_text())
    return template


def read_parameters(environment: str, path: Path = ROOT / "samconfig.toml") -> dict[str, str]:
    """Return the parameter values that samconfig.toml gives an environment."""
    section = tomllib.loads(path.read_text())[environment]["deploy"]["parameters"]
    pairs = (override.partition("=") for override in section["parameter_overrides"])
    return {name: value for name, _, value in pairs}


def expand(template: Template, parameters: Mapping[str, str]) -> Template:
    """Return the CloudFormation template that AWS's transform makes of a SAM template.

    Code and content URIs must already be `s3://` addresses: see `with_artifacts`.
    """
    session = boto3.Session(region_name=REGION)
    # It warns of a switch that only AWS itself has.
    logging.getLogger("samtranslator.feature_toggle.feature_toggle").setLevel(logging.ERROR)
    translator = Translator(managed_policy_map={}, sam_parser=Parser(), boto_session=session)
    expanded = translator.translate(copy.deepcopy(template), dict(parameters))
    # A copy by way of text: parts that come from Globals would otherwise be one shared object.
    result: Template = json.loads(json.dumps(expanded))
    return result


def with_artifacts(template: Template, keys: Mapping[str, str]) -> Template:
    """Point the functions' code and each layer's content at objects of the artifacts bucket.

    `keys` maps "functions" and each layer's logical id to an object key.
    """
    packaged = copy.deepcopy(template)
    packaged["Globals"]["Function"]["CodeUri"] = f"s3://{ARTIFACTS_BUCKET}/{keys['functions']}"
    for name, _ in resources(packaged, LAYER):
        uri = f"s3://{ARTIFACTS_BUCKET}/{keys[name]}"
        packaged["Resources"][name]["Properties"]["ContentUri"] = uri
    for name, nested in resources(packaged, NESTED_STACK):
        nested["TemplateURL"] = f"https://{ARTIFACTS_BUCKET}.s3.amazonaws.com/{name}.yaml"
    return packaged


def resources(template: Template, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield logical id and properties of each resource of type `kind`."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource.get("Properties", {})
