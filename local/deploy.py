"""Deploying template.yaml to the local cloud."""

import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local import template as sam
from local.api_resources import expand_http_apis
from local.child import ServerFailed
from local.cloud import Cloud
from local.conditions import leave_out_conditional
from local.supported import check_supported, leave_out_without_effect
from local.template import ARTIFACTS_BUCKET, ROOT, Template
from local.versions import call_functions_themselves
from local.websocket_api import adapt_websocket_apis, call_back_at

STACK = "fieldgate-local"
FUNCTIONS_KEY = "functions.zip"
TEMPLATE_KEY = "template.json"
DEPLOY_SECONDS = 120
RUNTIME_FOLDER = ROOT / "local/runtime"


@dataclass(frozen=True)
class Places:
    """Where the functions' processes find their layers and leave their traces."""

    layers: Path
    log: Path
    invocations: Path


@dataclass(frozen=True)
class Deployment:
    """What runs now. `resources` maps logical to physical ids."""

    template: Template = field(repr=False)
    resources: Mapping[str, str] = field(repr=False)
    outputs: Mapping[str, str]

    def of_type(self, kind: str) -> Iterator[tuple[str, str]]:
        """Yield logical and physical id of each resource of type `kind`."""
        for name, _ in sam.resources(self.template, kind):
            yield name, self.resources[name]


def deploy(cloud: Cloud, parameters: Mapping[str, str], places: Places) -> Deployment:
    """Expand the template, check that the local cloud knows all of it, and deploy it.

    Raises:
        UnsupportedLocally: naming what it does not know.
        ServerFailed: the deployment failed, with the reasons.

    """
    source = sam.read_template()
    layers = [name for name, _ in sam.resources(source, sam.LAYER)]
    keys = {"functions": FUNCTIONS_KEY, **{name: f"{name}.zip" for name in layers}}
    _upload(cloud, keys)
    expanded = sam.expand(sam.with_artifacts(source, keys), parameters)
    leave_out_conditional(expanded, parameters)
    call_functions_themselves(expanded)
    expand_http_apis(expanded)
    adapt_websocket_apis(expanded)
    check_supported(expanded)
    leave_out_without_effect(expanded)
    call_back_at(expanded, cloud.url)
    _run_on_this_machine(expanded, places)
    return _create(cloud, expanded, parameters)


def replace_code(cloud: Cloud, deployment: Deployment) -> None:
    """Give every function the source as it is now; each starts anew at its next invocation."""
    client = cloud.client("lambda")
    code = zip_functions()
    for _, function in deployment.of_type("AWS::Lambda::Function"):
        client.update_function_code(FunctionName=function, ZipFile=code)


def invoke(cloud: Cloud, deployment: Deployment, function: str) -> str:
    """Call a function, by logical id, with an empty event; returns what it says, as JSON."""
    client = cloud.client("lambda")
    answer = client.invoke(FunctionName=deployment.resources[function], Payload=b"{}")
    said: bytes = answer["Payload"].read()
    return said.decode()


def zip_functions() -> bytes:
    """Pack functions/ as sam build would."""
    folder = ROOT / "functions"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.py")):
            archive.write(path, path.relative_to(folder))
    return packed.getvalue()


def _upload(cloud: Cloud, keys: Mapping[str, str]) -> None:
    client = cloud.client("s3")
    client.create_bucket(
        Bucket=ARTIFACTS_BUCKET, CreateBucketConfiguration={"LocationConstraint": sam.REGION}
    )
    for name, key in keys.items():
        body = zip_functions() if name == "functions" else _stand_in(name)
        client.put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=body)


def _stand_in(layer: str) -> bytes:
    """Pack a layer of nothing: unpacking 100 MB for each process would make the stack crawl.

    The functions' processes find the built layer through PYTHONPATH instead.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("README", f"{layer} is on this machine's PYTHONPATH.\n")
    return packed.getvalue()


def _run_on_this_machine(template: Template, places: Places) -> None:
    """Have each function start through local_runtime.py, with its own layers and no others."""
    names = {
        logical_id: properties["LayerName"]
        for logical_id, properties in sam.resources(template, "AWS::Lambda::LayerVersion")
    }
    for _, properties in sam.resources(template, "AWS::Lambda::Function"):
        # One of another's, where a condition says so, isn't for this machine.
        layers = [names[layer["Ref"]] for layer in properties["Layers"] if "Ref" in layer]
        # The sources of this project first, so that a change needs no build of a layer.
        path = [RUNTIME_FOLDER, ROOT / "layers/common"]
        path += [ROOT] if "MigrationsLayer" in layers else []
        path += [places.layers / layer / "python" for layer in layers]
        properties["Environment"]["Variables"] |= {
            "PYTHONPATH": ":".join(map(str, path)),
            "LOCAL_HANDLER": properties["Handler"],
            "LOCAL_LOG": str(places.log),
            "LOCAL_INVOCATIONS": str(places.invocations),
        }
        properties["Handler"] = "local_runtime.handler"


def _create(cloud: Cloud, template: Template, parameters: Mapping[str, str]) -> Deployment:
    client = cloud.client("cloudformation")
    # By address: as part of the call a template may have 51,200 bytes at most.
    cloud.client("s3").put_object(
        Bucket=ARTIFACTS_BUCKET, Key=TEMPLATE_KEY, Body=json.dumps(template).encode()
    )
    try:
        client.create_stack(
            StackName=STACK,
            TemplateURL=f"{cloud.url}/{ARTIFACTS_BUCKET}/{TEMPLATE_KEY}",
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
    except ClientError as error:
        # A parameter's value that the template doesn't allow, say.
        raise ServerFailed(error.response["Error"]["Message"]) from None
    give_up = time.monotonic() + DEPLOY_SECONDS
    while (stack := client.describe_stacks(StackName=STACK)["Stacks"][0])[
        "StackStatus"
    ] == "CREATE_IN_PROGRESS":
        if time.monotonic() > give_up:
            raise ServerFailed(f"the deployment was not finished after {DEPLOY_SECONDS} s")
        time.sleep(0.1)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise ServerFailed(f"the deployment failed:\n{_reasons(client)}")
    return Deployment(
        template,
        {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in client.describe_stack_resources(StackName=STACK)["StackResources"]
        },
        {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
    )


def _reasons(client: Any) -> str:
    events = client.describe_stack_events(StackName=STACK)["StackEvents"]
    return "\n".join(
        f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
    )
