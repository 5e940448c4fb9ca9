"""What realtime needs of template.yaml: wakers, schedules, and the one address of both APIs."""

import copy
import json
import re
from typing import Any

import pytest

from fieldgate.http.address import EDGE_KEY_HEADER
from local import template as sam
from local.conditions import leave_out_conditional
from local.front_door import HUB_PATH
from local.template import Template
from tests.conftest import run_sql
from tests.support.writers import named_by_definitions, tables_changed

# docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html and
# using-managed-origin-request-policies.html
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"

RECORDED = """
    SELECT DISTINCT relname FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid
    JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE proname = 'record_change'"""


def joined(deployed: Template, said: str) -> Template:
    """Return what there is where JoinHosts says so."""
    template = copy.deepcopy(deployed)
    leave_out_conditional(template, {"JoinHosts": said, "EdgeKeySecretArn": "arn:aws:secret"})
    return template


@pytest.fixture
def distribution(deployed: Template) -> dict[str, Any]:
    resource = joined(deployed, "true")["Resources"]["Distribution"]
    config: dict[str, Any] = resource["Properties"]["DistributionConfig"]
    return config


@pytest.fixture
def origins(distribution: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The two origins, by the API that each is the address of."""
    found = {}
    for origin in distribution["Origins"]:
        address = origin["DomainName"]["Fn::Sub"]
        api, _, rest = address.removeprefix("${").partition("}")
        assert rest == ".execute-api.${AWS::Region}.${AWS::URLSuffix}"
        found[api] = origin
    return found


def test_who_changes_what_is_recorded_wakes_the_relay(source: Template, database_url: str) -> None:
    """Without, what they did is told up to a minute late: also that a session has ended."""
    recorded = {table for (table,) in run_sql(database_url, RECORDED)}
    assert {"users", "media", "sessions", "realtime_broadcasts"} <= recorded
    named = named_by_definitions()
    changers, know, may = set(), set(), set()
    for name, function in sam.resources(source, sam.FUNCTION):
        if tables_changed(function["Handler"].removesuffix(".handler"), named) & recorded:
            changers.add(name)
        if "RELAY_QUEUE_URL" in function.get("Environment", {}).get("Variables", {}):
            know.add(name)
        if {"Ref": "WakeRelay"} in function.get("Policies", []):
            may.add(name)
    assert {"Login", "Logout", "SetUserRoles", "OnMediaUploaded", "Broadcast"} <= changers
    assert {"AlertExpiringStock", "DecideLoss", "DeliverPush", "SetConfig"} <= changers
    assert {"CleanupOtps", "CleanupPushes"} <= changers, "what is deleted is recorded as well"
    assert know == may == changers


@pytest.mark.parametrize("function", ["DeliverPush", "RelayChanges", "SweepConnections"])
def test_what_no_message_told_is_found_within_a_minute(
    resources: dict[str, dict[str, Any]], function: str
) -> None:
    (schedule,) = (
        resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Scheduler::Schedule"
        and resource["Properties"]["Target"]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
    )
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule.get("State", "ENABLED") == "ENABLED"


def test_only_the_hub_itself_goes_to_the_websocket_api(
    distribution: dict[str, Any], origins: dict[str, dict[str, Any]]
) -> None:
    assert origins.keys() == {"HttpApi", "RealtimeApi"}
    (hub,) = distribution["CacheBehaviors"]
    # As it is, so that SignalR's negotiation below it is the HTTP API's.
    assert hub["PathPattern"] == HUB_PATH
    assert hub["TargetOriginId"] == origins["RealtimeApi"]["Id"]
    others = distribution["DefaultCacheBehavior"]
    assert others["TargetOriginId"] == origins["HttpApi"]["Id"]
    methods = {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
    assert set(others["AllowedMethods"]) == methods
    assert "FunctionAssociations" not in others


def test_the_hubs_path_becomes_the_stages(deployed: Template, distribution: dict[str, Any]) -> None:
    (hub,) = distribution["CacheBehaviors"]
    (association,) = hub["FunctionAssociations"]
    assert association["EventType"] == "viewer-request"
    name, attribute = association["FunctionARN"]["Fn::GetAtt"]
    assert attribute == "FunctionARN"
    function = deployed["Resources"][name]["Properties"]
    stage = deployed["Resources"]["RealtimeStage"]["Properties"]
    assert stage["ApiId"] == {"Ref": "RealtimeApi"}
    rewritten = re.findall(r"\buri\s*=\s*'([^']*)'", function["FunctionCode"])
    assert rewritten == [f"/{stage['StageName']}"]
    assert "return event.request;" in function["FunctionCode"]
    # What is not published runs nowhere.
    assert function["AutoPublish"] is True


def test_nothing_is_cached_left_out_or_sent_in_the_clear(
    distribution: dict[str, Any], origins: dict[str, dict[str, Any]]
) -> None:
    for behavior in (distribution["DefaultCacheBehavior"], *distribution["CacheBehaviors"]):
        assert behavior["CachePolicyId"] == CACHING_DISABLED
        # With the Host of the distribution an API would not know itself.
        assert behavior["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER
        assert behavior["ViewerProtocolPolicy"] == "https-only"
    for origin in origins.values():
        assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
        assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]


def test_only_the_http_api_gets_the_key_that_vouches_for_addresses(
    origins: dict[str, dict[str, Any]],
) -> None:
    (header,) = origins["HttpApi"]["OriginCustomHeaders"]
    assert header["HeaderName"] == EDGE_KEY_HEADER
    # By its name: the key itself is in no template.
    key = "{{resolve:secretsmanager:${EdgeKeySecretArn}}}"
    assert header["HeaderValue"] == {"Fn::Sub": key}
    assert "OriginCustomHeaders" not in origins["RealtimeApi"]


def test_where_hosts_are_not_joined_there_is_nothing_of_it(deployed: Template) -> None:
    ours = {
        name
        for name, resource in deployed["Resources"].items()
        if resource["Type"].startswith("AWS::CloudFront::")
    }
    assert ours == {"Distribution", "HubPath"}
    assert ours <= joined(deployed, "true")["Resources"].keys()
    assert deployed["Parameters"]["JoinHosts"]["Default"] == "false"
    without = joined(deployed, "false")
    left = json.dumps([without["Resources"], without["Outputs"]])
    assert not {name for name in ours if re.search(rf"\b{name}\b", left)}
