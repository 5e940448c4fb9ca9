"""Functions without versions, where the local cloud stands in for Lambda.

On AWS the functions most used have an alias that CodeDeploy moves from version to version. Here
there is one version, and the alias would only be another name for the function.
"""

import re
from typing import Any

from local import template as sam
from local.template import Template

ALIAS = "AWS::Lambda::Alias"
OF_VERSIONS = {
    ALIAS,
    "AWS::Lambda::Version",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
}
_ROLE = "CodeDeployServiceRole"


def call_functions_themselves(template: Template) -> None:
    """Take versions, aliases and what deploys them out; who calls an alias calls the function."""
    functions = {
        alias: properties["FunctionName"]["Ref"]
        for alias, properties in sam.resources(template, ALIAS)
    }
    template["Resources"] = {
        name: _without(resource, functions)
        for name, resource in template["Resources"].items()
        if resource["Type"] not in OF_VERSIONS and name != _ROLE
    }


def _without(value: Any, functions: dict[str, str]) -> Any:
    match value:
        case {"Ref": str(name)} if name in functions:
            return {"Fn::GetAtt": [functions[name], "Arn"]}
        case dict():
            return {key: _without(item, functions) for key, item in value.items()}
        case list():
            return [_without(item, functions) for item in value]
        case str():
            return re.sub(
                r"\$\{(\w+)\}",
                lambda found: (
                    f"${{{functions[found[1]]}.Arn}}" if found[1] in functions else found[0]
                ),
                value,
            )
    return value
