"""Who may do what: what a function needs, and nothing else."""

import json
from typing import Any

from local import template as sam
from local.template import Template
from tests.support.template import of_type, present
from tests.support.writers import led_to, named_by_definitions

# Every managed policy of AWS's that a role may have, and why; the wildcards in them are AWS's.
AWS_POLICIES = {
    "service-role/AWSLambdaBasicExecutionRole": "writes the function's log",
    "service-role/AWSLambdaVPCAccessExecutionRole": "attaches it to the database's network",
    "service-role/AWSLambdaSQSQueueExecutionRole": "takes a queue's messages; consumers only",
    "AWSXrayWriteOnlyAccess": "sends traces, where TracingMode is Active",
}
AWS_POLICY_PREFIX = "arn:aws:iam::aws:policy/"


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


def test_a_role_has_no_more_managed_policies_than_aws_allows(deployed: Template) -> None:
    for name, role in of_type(deployed["Resources"], "AWS::IAM::Role").items():
        assert len(role.get("ManagedPolicyArns", [])) <= 10, name


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


def test_every_function_may_read_where_to_report_errors_to(deployed: Template) -> None:
    functions = of_type(deployed["Resources"], "AWS::Lambda::Function").values()
    policy = deployed["Resources"]["ReadSentryDsn"]["Properties"]
    roles = sorted(function["Role"]["Fn::GetAtt"][0] for function in functions)
    assert sorted(role["Ref"] for role in policy["Roles"]) == roles
