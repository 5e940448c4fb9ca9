"""template.yaml and the source tree say the same, and nothing is left without an owner."""

import ast
import json
import re
from typing import Any

import pytest

from fieldgate.queues import RESERVE_SECONDS, pause_seconds
from local import template as sam
from local.api_resources import UnsupportedLocally, expand_http_apis
from local.conditions import leave_out_conditional
from local.supported import check_supported, leave_out_without_effect
from local.template import ROOT, Template
from local.versions import call_functions_themselves
from local.websocket_api import adapt_websocket_apis
from push.delivery_store import LEASE as PUSH_LEASE
from tests.support.writers import led_to, named_by_definitions
from uploads.store import LEASE

# Every route that answers without a token, and why it must.
PUBLIC = {
    "POST /api/v1/auth/login": "whoever logs in has no token yet",
    "POST /api/v1/auth/register": "whoever registers has no token yet",
    "POST /api/v1/auth/refresh": "the access token may have expired; the refresh token proves",
    "POST /api/v1/auth/password": "whoever forgot the password has no token; the code proves",
    "POST /api/v1/otp/resend": "whoever waits for a code has no token yet",
    "POST /api/v1/otp/verify": "the code proves",
    "POST /api/v1/otp/delivery-reports/{secret}": "the provider's; the end of the path proves",
    "GET /.well-known/jwks.json": "public keys, for whoever verifies our tokens",
    "GET /health": "monitors have no account",
    "GET /health/version": "monitors have no account",
    "GET /health/signalr": "monitors have no account",
    "GET /health/realtime": "monitors have no account",
    "GET /generate_204": "a phone asks it before it trusts the network",
    "HEAD /generate_204": "a phone asks it before it trusts the network",
    "$default": "says 404 to whatever no function has",
}

# Every managed policy of AWS's that a role may have, and why; the wildcards in them are AWS's.
AWS_POLICIES = {
    "service-role/AWSLambdaBasicExecutionRole": "writes the function's log",
    "service-role/AWSLambdaVPCAccessExecutionRole": "attaches it to the database's network",
    "service-role/AWSLambdaSQSQueueExecutionRole": "takes a queue's messages; consumers only",
    "AWSXrayWriteOnlyAccess": "sends traces, where TracingMode is Active",
}
AWS_POLICY_PREFIX = "arn:aws:iam::aws:policy/"


def of_type(resources: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {n: r.get("Properties", {}) for n, r in resources.items() if r["Type"] == kind}


def routes_of(resources: dict[str, dict[str, Any]], api: str) -> dict[str, dict[str, Any]]:
    """Return the routes of an API by their keys."""
    routes = of_type(resources, "AWS::ApiGatewayV2::Route").values()
    return {route["RouteKey"]: route for route in routes if route["ApiId"] == {"Ref": api}}


def present(entries: list[Any]) -> list[Any]:
    """Return a list's entries, also those that depend on a condition."""
    return [entry["Fn::If"][1] if "Fn::If" in entry else entry for entry in entries]


def test_every_entry_has_a_module_and_every_module_an_entry(source: Template) -> None:
    entries = {properties["Handler"] for _, properties in sam.resources(source, sam.FUNCTION)}
    modules = set()
    for path in (ROOT / "functions").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node]
            names = {getattr(target, "id", getattr(target, "name", None)) for target in targets}
            if "handler" in names:
                module = path.relative_to(ROOT / "functions").with_suffix("")
                modules.add(f"{'.'.join(module.parts)}.handler")
    assert entries == modules


def test_every_route_has_an_authorizer_or_a_reason(resources: dict[str, dict[str, Any]]) -> None:
    routes = routes_of(resources, "HttpApi")
    open_routes = {key for key, route in routes.items() if "AuthorizerId" not in route}
    assert open_routes == set(PUBLIC)
    assert all(
        route["AuthorizationType"] == "CUSTOM" for key, route in routes.items() if key not in PUBLIC
    )


def test_nobody_connects_without_the_authorizer(resources: dict[str, dict[str, Any]]) -> None:
    routes = routes_of(resources, "RealtimeApi")
    # A connection that was let in stays who it was.
    assert routes.keys() == {"$connect", "$disconnect", "$default"}
    assert routes["$connect"]["AuthorizationType"] == "CUSTOM"
    assert routes["$connect"]["AuthorizerId"] == {"Ref": "RealtimeAuthorizer"}
    # With an identity source API Gateway would refuse a token that comes the other way.
    assert "IdentitySource" not in resources["RealtimeAuthorizer"]["Properties"]


def test_no_access_log_holds_what_a_client_sent(resources: dict[str, dict[str, Any]]) -> None:
    """Tokens come in the header Authorization, and in the query access_token."""
    stages = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    formats = [stage["AccessLogSettings"]["Format"] for stage in stages]
    assert len(formats) == 2
    allowed = {
        *("requestId", "routeKey", "status", "responseLatency", "integrationErrorMessage"),
        *("eventType", "connectionId"),
    }
    for format_ in formats:
        assert set(re.findall(r"\$context\.([a-zA-Z.]+)", format_)) <= allowed
    distribution = resources["Distribution"]["Properties"]["DistributionConfig"]
    assert "Logging" not in distribution


def test_every_queue_has_a_consumer_dead_letters_and_an_alarm(
    resources: dict[str, dict[str, Any]],
) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    consumed = {
        mapping["EventSourceArn"]["Fn::GetAtt"][0]: mapping
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }
    alarmed = {
        dimension["Value"]["Fn::GetAtt"][0]
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "QueueName"
    }
    dead_letter_queues = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }
    assert queues.keys() == alarmed
    assert queues.keys() - dead_letter_queues == consumed.keys()
    for name in consumed:
        assert "RedrivePolicy" in queues[name]


def test_a_message_is_not_seen_again_while_it_is_worked_on(
    resources: dict[str, dict[str, Any]],
) -> None:
    for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        queue = resources[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        function = resources[mapping["FunctionName"]["Ref"]]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_function_logs_with_its_domain(source: Template, deployed: Template) -> None:
    groups = of_type(deployed["Resources"], "AWS::Logs::LogGroup")
    for name, function in sam.resources(source, sam.FUNCTION):
        group = groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["LogGroupName"]["Fn::Sub"]
        domain = function["Handler"].partition(".")[0]
        # What is subscribed to the logs must not hear of itself.
        last = "keep_errors" if name == "KeepErrors" else domain
        assert group == f"/fieldgate/${{Environment}}/{last}", name


def test_logs_are_kept_by_what_they_hold(deployed: Template) -> None:
    kept = {
        group["LogGroupName"]["Fn::Sub"].rpartition("/")[2]: group["RetentionInDays"]
        for group in of_type(deployed["Resources"], "AWS::Logs::LogGroup").values()
    }
    assert {name for name, days in kept.items() if days == 7} == {"http-api", "realtime-api"}
    assert {name for name, days in kept.items() if days == 30} == {"errors", "exceptions"}
    assert {days for days in kept.values() if days not in {7, 30}} == {14}


def test_what_goes_wrong_is_copied_from_every_application_log_but_the_copiers(
    deployed: Template,
) -> None:
    resources = deployed["Resources"]
    logs = {
        function["LoggingConfig"]["LogGroup"]["Ref"]
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
        if name != "KeepErrors"
    }
    filters = of_type(resources, "AWS::Logs::SubscriptionFilter")
    assert {subscription["LogGroupName"]["Ref"] for subscription in filters.values()} == logs
    for name, subscription in filters.items():
        assert subscription["DestinationArn"] == {"Fn::GetAtt": ["KeepErrors", "Arn"]}
        # CloudWatch refuses a destination that it may not invoke.
        assert resources[name]["DependsOn"] == "KeepErrorsPermission"


def test_every_function_has_its_own_role_and_no_permission_is_a_wildcard(
    resources: dict[str, dict[str, Any]],
) -> None:
    functions = of_type(resources, "AWS::Lambda::Function")
    roles = {function["Role"]["Fn::GetAtt"][0] for function in functions.values()}
    assert len(roles) == len(functions)
    policies = [
        policy["PolicyDocument"]
        for role in of_type(resources, "AWS::IAM::Role").values()
        for policy in present(role.get("Policies", []))
    ]
    managed = of_type(resources, "AWS::IAM::ManagedPolicy").values()
    policies += [policy["PolicyDocument"] for policy in managed]
    assert policies
    for policy in policies:
        for statement in present(policy["Statement"]):
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert "*" not in action
            if actions == "sns:Publish":
                # A text to a phone has no resource to name; what has one is left out.
                assert statement["NotResource"] == "arn:*:sns:*:*:*"
            else:
                assert statement["Resource"] != "*"


def test_a_role_has_no_managed_policy_that_its_function_has_no_use_for(
    resources: dict[str, dict[str, Any]],
) -> None:
    consumers = {
        mapping["FunctionName"]["Ref"]
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }
    roles = of_type(resources, "AWS::IAM::Role")
    ours = of_type(resources, "AWS::IAM::ManagedPolicy").keys()
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        allowed = {"service-role/AWSLambdaBasicExecutionRole"}
        if "VpcConfig" in function:
            allowed.add("service-role/AWSLambdaVPCAccessExecutionRole")
        if "TracingConfig" in function:
            allowed.add("AWSXrayWriteOnlyAccess")
        if name in consumers:
            allowed.add("service-role/AWSLambdaSQSQueueExecutionRole")
        assert allowed <= AWS_POLICIES.keys()
        attached = present(roles.pop(function["Role"]["Fn::GetAtt"][0])["ManagedPolicyArns"])
        own = {policy["Ref"] for policy in attached if isinstance(policy, dict)}
        aws = {policy for policy in attached if isinstance(policy, str)}
        # What is our own has been looked at for wildcards.
        assert own <= ours
        assert aws <= {AWS_POLICY_PREFIX + policy for policy in allowed}, name
    # A role that is no function's is nobody's to judge here.
    assert not any(role.get("ManagedPolicyArns") for role in roles.values())


def test_every_bucket_is_private_encrypted_and_tls_only(
    resources: dict[str, dict[str, Any]],
) -> None:
    buckets = of_type(resources, "AWS::S3::Bucket")
    policies = of_type(resources, "AWS::S3::BucketPolicy").values()
    tls_only = {
        policy["Bucket"]["Ref"]
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert buckets.keys() == tls_only
    for bucket in buckets.values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]


def test_http_functions_answer_before_the_gateway_gives_up(
    resources: dict[str, dict[str, Any]],
) -> None:
    for integration in of_type(resources, "AWS::ApiGatewayV2::Integration").values():
        match integration["IntegrationUri"]["Fn::Sub"]:
            case [_, {"live": {"Fn::GetAtt": [name, "Arn"]}}]:
                pass
            case uri:
                name = uri.rpartition("${")[2].partition(".Arn")[0]
        # The database may take 9 s to say that it is down.
        assert 10 < resources[name]["Properties"].get("Timeout", 3) + 0.5 < 30


def test_the_template_stays_well_under_the_limit_of_resources(deployed: Template) -> None:
    # CloudFormation takes 500. What to do when these are used up: docs/decisions/0021.
    assert len(deployed["Resources"]) < 450


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "production"])
def test_every_environment_has_its_parameters(source: Template, environment: str) -> None:
    given = sam.read_parameters(environment)
    assert given["Environment"] == environment
    assert given.keys() <= source["Parameters"].keys()


def test_the_schema_is_there_before_the_code_that_needs_it(
    resources: dict[str, dict[str, Any]],
) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        role = resources[function["Role"]["Fn::GetAtt"][0]]["Properties"]
        if {"Ref": "ReadDatabaseSecret"} in role["ManagedPolicyArns"] and name != "Migrate":
            assert resources[name]["DependsOn"] == "SchemaMigration"
    migration = resources["SchemaMigration"]["Properties"]
    # Else a deployment with a new migration would find nothing changed, and not run it.
    assert resources[migration["Migrations"]["Ref"]]["Properties"]["LayerName"] == "MigrationsLayer"


def test_who_has_texts_sent_knows_where_and_may(source: Template) -> None:
    """A function that can't reach the queue leaves its texts to the sweep, which takes a minute."""
    functions = dict(sam.resources(source, sam.FUNCTION))
    variables = {
        name: function.get("Environment", {}).get("Variables", {})
        for name, function in functions.items()
    }
    may = {n for n, f in functions.items() if {"Ref": "QueueSms"} in f.get("Policies", [])}
    assert may == {name for name in variables if "SMS_QUEUE_URL" in variables[name]}
    assert may == {"ChangePhone", "Login", "Register", "RequeueSms", "ResendOtp", "SendOtp"}


def test_who_has_pushes_sent_knows_where_and_may(source: Template) -> None:
    """A function that can't reach the queue leaves them to the schedule, which takes a minute."""
    named = named_by_definitions()
    notifiers, know, may = set(), set(), set()
    for name, function in sam.resources(source, sam.FUNCTION):
        led = led_to(function["Handler"].removesuffix(".handler"), named)
        if "fieldgate.push.notifying.wake_pushers" in led:
            notifiers.add(name)
        if "PUSH_QUEUE_URL" in function.get("Environment", {}).get("Variables", {}):
            know.add(name)
        if {"Ref": "QueuePush"} in function.get("Policies", []):
            may.add(name)
    assert know == may == notifiers
    assert may == {
        *("AlertExpiringStock", "DecideLoss", "DeliverPush", "ReportLoss", "SendNotification")
    }


def test_who_works_with_what_follows_from_the_pepper_may_read_it(source: Template) -> None:
    named = named_by_definitions()
    need, may = set(), set()
    for name, function in sam.resources(source, sam.FUNCTION):
        led = led_to(function["Handler"].removesuffix(".handler"), named)
        if "fieldgate.keyed_hash.keyed_hash" in led:
            need.add(name)
        if {"Ref": "ReadPepper"} in function.get("Policies", []):
            may.add(name)
    assert may == need
    assert {"Login", "SendSms", "RegisterDevice", "DeliverPush"} <= may


def test_one_role_invokes_what_has_a_schedule_and_nothing_else(
    resources: dict[str, dict[str, Any]],
) -> None:
    schedules = of_type(resources, "AWS::Scheduler::Schedule").values()
    targets = [schedule["Target"] for schedule in schedules]
    assert all(t["RoleArn"] == {"Fn::GetAtt": ["SchedulerRole", "Arn"]} for t in targets)
    (policy,) = resources["SchedulerRole"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    allowed = {arn["Fn::GetAtt"][0] for arn in statement["Resource"]}
    assert allowed == {target["Arn"]["Fn::GetAtt"][0] for target in targets}


def test_a_schedules_function_has_an_alarm_on_its_errors(
    resources: dict[str, dict[str, Any]],
) -> None:
    """Nobody waits for an answer who would say that there was none."""
    alarmed = {
        dimension["Value"]["Ref"]
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "Errors"
        for dimension in alarm["Dimensions"]
    }
    schedules = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert {schedule["Target"]["Arn"]["Fn::GetAtt"][0] for schedule in schedules} <= alarmed


def test_who_pushes_and_nobody_else_has_the_layer_and_the_credentials(
    resources: dict[str, dict[str, Any]],
) -> None:
    (layer,) = (
        name
        for name, properties in of_type(resources, "AWS::Lambda::LayerVersion").items()
        if properties["LayerName"] == "PushLayer"
    )
    functions = of_type(resources, "AWS::Lambda::Function")
    have = {name for name, it in functions.items() if {"Ref": layer} in it["Layers"]}
    may = {
        name
        for name, it in functions.items()
        if "FirebaseCredentialsSecretArn"
        in json.dumps(resources[it["Role"]["Fn::GetAtt"][0]]["Properties"])
    }
    assert have == may == {"DeliverPush"}


def test_what_a_pusher_took_is_anothers_soon_after_its_end_and_not_before(
    resources: dict[str, dict[str, Any]],
) -> None:
    seconds = resources["DeliverPush"]["Properties"]["Timeout"]
    assert seconds < PUSH_LEASE.total_seconds() <= seconds + 30


def test_a_lease_outlives_the_run_that_holds_it_and_no_longer_than_its_message(
    resources: dict[str, dict[str, Any]],
) -> None:
    seconds = resources["OnMediaUploaded"]["Properties"]["Timeout"]
    visibility = resources["MediaUploadedQueue"]["Properties"]["VisibilityTimeout"]
    assert seconds < LEASE.total_seconds() < visibility
    # Time to work in, before the time kept to put things back begins.
    assert seconds - RESERVE_SECONDS >= 20


def test_an_outage_of_an_hour_costs_no_message(resources: dict[str, dict[str, Any]]) -> None:
    for queue in of_type(resources, "AWS::SQS::Queue").values():
        if "RedrivePolicy" in queue:
            receives = queue["RedrivePolicy"]["maxReceiveCount"]
            pauses = [pause_seconds(receive) for receive in range(1, receives)]
            assert sum(pauses) >= 3600


def test_with_its_routes_written_out_the_template_is_not_too_large_for_the_local_cloud(
    resources: dict[str, dict[str, Any]],
) -> None:
    # No database is made here: its condition doesn't hold (local/conditions.py).
    made = {name: one for name, one in resources.items() if one["Type"] != sam.NESTED_STACK}
    template = {"Resources": made}
    leave_out_without_effect(template)
    assert len(template["Resources"]) < 450
    left_out = made.keys() - template["Resources"].keys()
    assert left_out
    left = json.dumps(template)
    assert not {name for name in left_out if re.search(rf"\b{name}\b", left)}


def test_nothing_is_traced_twice(source: Template) -> None:
    """Where OpenTelemetry's layer traces, `traced` is told to leave the X-Ray SDK alone."""
    everywhere = source["Globals"]["Function"]
    variables = everywhere["Environment"]["Variables"]
    assert variables["TRACING_MODE"] == {
        "Fn::If": ["HasAdotLayer", "PassThrough", {"Ref": "TracingMode"}]
    }
    nothing = {"Ref": "AWS::NoValue"}
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == {
        "Fn::If": ["HasAdotLayer", "/opt/otel-instrument", nothing]
    }
    layer = {"Fn::If": ["HasAdotLayer", {"Ref": "AdotLayerArn"}, nothing]}
    assert layer in everywhere["Layers"]
    for name, function in sam.resources(source, sam.FUNCTION):
        own = function.get("Environment", {}).get("Variables", {})
        assert not {"TRACING_MODE", "AWS_LAMBDA_EXEC_WRAPPER"} & own.keys(), name


def test_a_role_has_no_more_managed_policies_than_aws_allows(deployed: Template) -> None:
    for name, role in of_type(deployed["Resources"], "AWS::IAM::Role").items():
        assert len(role.get("ManagedPolicyArns", [])) <= 10, name


def test_every_function_may_read_where_to_report_errors_to(deployed: Template) -> None:
    functions = of_type(deployed["Resources"], "AWS::Lambda::Function").values()
    policy = deployed["Resources"]["ReadSentryDsn"]["Properties"]
    roles = sorted(function["Role"]["Fn::GetAtt"][0] for function in functions)
    assert sorted(role["Ref"] for role in policy["Roles"]) == roles


def test_a_function_is_bounded_for_a_reason_and_the_rest_of_the_account_is_left_alone(
    source: Template,
) -> None:
    """Lambda keeps 100 for those without a bound, and refuses to reserve more."""
    bounds: dict[str, set[str]] = {}
    for name, function in sam.resources(source, sam.FUNCTION):
        if bound := function.get("ReservedConcurrentExecutions"):
            condition, reference, otherwise = bound["Fn::If"]
            assert condition == f"Reserves{reference['Ref'].removeprefix('Reserve')}"
            assert otherwise == {"Ref": "AWS::NoValue"}
            bounds.setdefault(reference["Ref"], set()).add(name)
    page = (ROOT / "docs/operations.md").read_text()
    reserved = 0
    for parameter, functions in bounds.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{parameter}` |"))
        assert set(re.findall(r"`([A-Z]\w+)`", row)) - {parameter} == functions
        reserved += len(functions) * source["Parameters"][parameter]["Default"]
    assert reserved <= 300
    # Else a queue would hand over what is then refused.
    mapping = source["Resources"]["OnMediaUploaded"]["Properties"]["Events"]["MediaUploaded"]
    most = mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    assert source["Parameters"]["ReserveWorkers"]["Default"] >= most


def test_an_unknown_property_stops_the_local_deployment_by_name(deployed: Template) -> None:
    template: Template = json.loads(json.dumps(deployed))
    leave_out_conditional(template, {"DatabaseSecretArn": "arn:of-one-that-is-there"})
    call_functions_themselves(template)
    expand_http_apis(template)
    adapt_websocket_apis(template)
    check_supported(template)
    queue = template["Resources"]["MediaUploadedQueue"]["Properties"]
    queue["ReceiveMessageWaitTimeSeconds"] = 20
    template["Resources"]["Table"] = {"Type": "AWS::DynamoDB::Table"}
    with pytest.raises(UnsupportedLocally) as refusal:
        check_supported(template)
    assert "MediaUploadedQueue (AWS::SQS::Queue): ReceiveMessageWaitTimeSeconds" in str(
        refusal.value
    )
    assert "Table: resources of type AWS::DynamoDB::Table" in str(refusal.value)


def test_every_function_has_a_sample_event(source: Template) -> None:
    functions = {
        properties["Handler"].split(".")[1] for _, properties in sam.resources(source, sam.FUNCTION)
    }
    assert {path.stem for path in (ROOT / "events").glob("*.json")} == functions
