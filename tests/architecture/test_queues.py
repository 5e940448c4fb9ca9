"""What is to be done later is done, also after an outage, and not by two at once."""

from typing import Any

from fieldgate.queues import RESERVE_SECONDS, pause_seconds
from push.delivery_store import LEASE as PUSH_LEASE
from tests.support.template import of_type
from uploads.store import LEASE


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
