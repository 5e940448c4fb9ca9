"""Answering CloudFormation, which runs a function as a step of a deployment (custom resource).

By hand, because crhelper makes AWS clients when it is imported, and the protocol is one PUT:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

from fieldgate.observability import logger

RESPONSE_TIMEOUT_SECONDS = 30


def answer(event: dict[str, Any], physical_id: str, work: Callable[[], dict[str, str]]) -> None:
    """Do `work` unless the resource is being deleted, and report how it went.

    Without an answer CloudFormation waits until its own time-out, so one is sent whatever
    happens. What `work` returns becomes the resource's attributes.
    """
    status, reason, data = "SUCCESS", "", {}
    try:
        if event["RequestType"] != "Delete":
            data = work()
    except Exception as error:  # noqa: BLE001 whatever it is, the deployment has to hear of it
        logger().exception("deployment step failed")
        status, reason = "FAILED", f"{type(error).__name__}: see the function's log"
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": physical_id,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    # The presigned URL of the answer is signed without a content type.
    request = Request(  # noqa: S310 the address is CloudFormation's
        event["ResponseURL"],
        data=json.dumps(body).encode(),
        method="PUT",
        headers={"Content-Type": ""},
    )
    with urlopen(request, timeout=RESPONSE_TIMEOUT_SECONDS):  # noqa: S310
        pass
