"""What the local cloud does of what a template may say.

A property that stands in neither list stops the deployment: better a plain word now than something
that works here only because it was quietly left out, or fails here for no reason one can see.
"""

from local.api_resources import UnsupportedLocally
from local.template import Template

# Honoured by the local cloud; tried.
HONOURED = {
    # Of a WebSocket API's expression only what local/websocket_api.py writes in its place.
    "AWS::ApiGatewayV2::Api": "CorsConfiguration Name ProtocolType RouteSelectionExpression",
    "AWS::ApiGatewayV2::Authorizer": "ApiId AuthorizerPayloadFormatVersion "
    "AuthorizerResultTtlInSeconds AuthorizerType AuthorizerUri EnableSimpleResponses "
    "IdentitySource Name",
    "AWS::ApiGatewayV2::Integration": "ApiId IntegrationType IntegrationUri PayloadFormatVersion",
    "AWS::ApiGatewayV2::Route": "ApiId AuthorizationType AuthorizerId RouteKey Target",
    "AWS::ApiGatewayV2::Stage": "ApiId AutoDeploy StageName",
    "AWS::Lambda::EventSourceMapping": "BatchSize EventSourceArn FunctionName "
    "FunctionResponseTypes",
    "AWS::Lambda::Function": "Code Environment Handler Layers LoggingConfig MemorySize Role "
    "Runtime Timeout",
    "AWS::Lambda::LayerVersion": "Content LayerName",
    "AWS::Logs::LogGroup": "LogGroupName RetentionInDays",
    "AWS::S3::Bucket": "BucketName NotificationConfiguration VersioningConfiguration",
    "AWS::Scheduler::Schedule": "Name ScheduleExpression Target",
    "AWS::SQS::Queue": "MessageRetentionPeriod RedrivePolicy VisibilityTimeout",
    "Custom::SchemaMigration": "Database Migrations RunMigrations ServiceTimeout ServiceToken",
}
# Taken and of no effect on one machine: permissions (it enforces none), encryption, alarms, scale.
WITHOUT_EFFECT = {
    "AWS::ApiGatewayV2::Api": "Description",
    # What a function returns goes to the client always, with or without a RouteResponse; those
    # local/websocket_api.py takes out.
    "AWS::ApiGatewayV2::Route": "RouteResponseSelectionExpression",
    "AWS::ApiGatewayV2::Stage": "AccessLogSettings DefaultRouteSettings Tags",
    "AWS::CloudWatch::Alarm": "AlarmActions AlarmDescription ComparisonOperator DatapointsToAlarm "
    "Dimensions EvaluationPeriods ExtendedStatistic MetricName Metrics Namespace Period Statistic "
    "Threshold TreatMissingData",
    "AWS::CloudWatch::Dashboard": "DashboardBody DashboardName",
    "AWS::IAM::ManagedPolicy": "Description PolicyDocument",
    "AWS::IAM::Policy": "PolicyDocument PolicyName Roles",
    "AWS::IAM::Role": "AssumeRolePolicyDocument ManagedPolicyArns Policies Tags",
    "AWS::KMS::Key": "Description EnableKeyRotation KeyPolicy",
    "AWS::Lambda::EventSourceMapping": "ScalingConfig",
    # Without versions there is no snapshot: local/versions.py.
    "AWS::Lambda::Function": "Architectures Description ReservedConcurrentExecutions SnapStart "
    "Tags TracingConfig VpcConfig",
    "AWS::Lambda::LayerVersion": "CompatibleArchitectures CompatibleRuntimes Description",
    "AWS::Lambda::Permission": "Action FunctionName Principal SourceAccount SourceArn",
    # Of a pattern it takes every term to be wanted, so nothing is ever delivered.
    "AWS::Logs::SubscriptionFilter": "DestinationArn FilterPattern LogGroupName",
    # The gate answers every preflight itself.
    "AWS::S3::Bucket": "BucketEncryption CorsConfiguration LifecycleConfiguration "
    "OwnershipControls PublicAccessBlockConfiguration",
    "AWS::S3::BucketPolicy": "Bucket PolicyDocument",
    "AWS::Scheduler::Schedule": "FlexibleTimeWindow",
    "AWS::SNS::Subscription": "Endpoint Protocol TopicArn",
    "AWS::SNS::Topic": "DisplayName KmsMasterKeyId",
    "AWS::SNS::TopicPolicy": "PolicyDocument Topics",
    "AWS::SQS::Queue": "SqsManagedSseEnabled",
    "AWS::SQS::QueuePolicy": "PolicyDocument Queues",
}
# Of these nothing is left to do, and nothing refers to them.
LEFT_OUT = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::IAM::Policy",
    "AWS::KMS::Key",
    "AWS::Lambda::Permission",
    "AWS::Logs::SubscriptionFilter",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
}


def leave_out_without_effect(template: Template) -> None:
    """Take out the resources that come to nothing on one machine.

    CloudFormation, and the local cloud as well, takes 500 of them; with its routes written out a
    template has some hundred more here than on AWS.
    """
    template["Resources"] = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] not in LEFT_OUT
    }


def check_supported(template: Template) -> None:
    """Go through an expanded template.

    Raises:
        UnsupportedLocally: naming every resource and property that is not known to work.

    """
    unknown = []
    for name, resource in template["Resources"].items():
        kind = resource["Type"]
        known = {*HONOURED.get(kind, "").split(), *WITHOUT_EFFECT.get(kind, "").split()}
        if not known:
            unknown.append(f"{name}: resources of type {kind}")
        unknown += [
            f"{name} ({kind}): {property_}"
            for property_ in resource.get("Properties", {})
            if known and property_ not in known
        ]
    if unknown:
        raise UnsupportedLocally(
            "template.yaml uses what the local cloud is not known to do:\n  "
            + "\n  ".join(unknown)
            + "\nTry it, then list it in local/supported.py."
        )
