# ruff: noqa: E501 the table
"""Whoever reads bytes of others is here: what it promises of any bytes whatever, and who holds it.

The table is all of them; the tests below are of those that have none beside their unit. Ten
thousand tries of each: `make fuzz`.
"""

import ast
import base64
import gzip
import json
import os
import urllib.parse
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from fieldgate.authorizer import bearer_token
from fieldgate.db import url
from fieldgate.errors import ConfigurationError, Unauthorized, ValidationFailed
from fieldgate.http.idempotency import _VISIBLE_ASCII
from fieldgate.queues import PoisonMessage
from fieldgate.request_id import adopt
from fieldgate.settings import Settings, forget, load
from fieldgate.time_zones import TimeZone
from identity.request_types import Code, Email, Name, NewPassword, Password
from identity.sessions import RefreshToken
from local.template import ROOT
from operations import log_lines
from push.devices import NewDevice
from push.request_types import AppVersion, Clock
from realtime import audiences, fan_out_queue, frames, plain, request_types, signalr
from sms.delivery_reports import DeliveryReport
from stock.request_types import Day, Warehouse
from uploads.request_types import Sha256

# Who reads what, what is promised, and the test that holds it: of this module, or of its unit's.
# "ours" is: nothing is raised but the errors that its docstring names.
PARSERS = """
what is read                      by                                    promise               test
photos: container, metadata       uploads.photo_formats                 ours                  test_random_bytes_are_a_photo_or_rejected
photos, damaged                   uploads.photo                         ours, in bounds       test_a_damaged_photo_is_a_photo_or_rejected
photos, PNG made up               uploads.photo_formats                 ours, in bounds       test_a_made_up_png_is_a_photo_or_rejected
photos, EXIF                      uploads.photo_file                    an orientation        test_any_exif_gives_an_orientation
documents                         uploads.documents                     ours                  test_no_bytes_at_all_raise_anything_else
documents, damaged                uploads.documents                     ours                  test_broken_documents_are_refused_and_nothing_else_is_raised
names, types and sizes of files   uploads.file_rules                    ours, whitelist       test_whatever_comes_it_is_a_file_by_the_whitelist_or_refused_as_documented
digests of files                  uploads.request_types                 round trip            test_a_digest_comes_back_from_both_ways_to_write_it
keys of S3's events               uploads.processing                    ours                  test_whatever_json_comes_there_are_keys_or_it_is_poison
frames of WebSockets, any         realtime.answering                    an answer             test_whatever_comes_is_answered_with_200_and_in_a_dialect
frames, plain JSON                realtime.plain                        ours, round trip      test_a_plain_request_comes_back_as_it_was_written
frames, SignalR                   realtime.signalr                      ours, round trip      test_signalr_records_come_back_as_they_were_written
frames, either                    realtime.frames                       ours                  test_no_frame_raises_anything_else
channels, broadcasts              realtime.request_types                ours                  test_no_field_of_a_request_raises_anything_else
tasks of the fan-out              realtime.fan_out_queue                poison                test_no_message_raises_anything_but_poison
access tokens                     fieldgate.tokens                      ours                  test_no_text_whatever_is_an_error
access tokens, changed            fieldgate.tokens                      refused               test_a_mutated_token_is_refused_and_never_an_error
Authorization                     fieldgate.authorizer                  never raises          test_any_authorization_is_a_token_or_none
refresh tokens                    identity.sessions                     ours, round trip      test_a_refresh_token_comes_back_and_nothing_else_is_one
phone numbers                     identity.phone_numbers                ours                  test_any_text_is_a_number_or_refused
names, passwords, codes, e-mail   identity.request_types                ours                  test_no_field_of_a_request_raises_anything_else
delivery reports                  sms.delivery_reports                  ours                  test_no_form_raises_anything_else
JSON bodies                       fieldgate.http                        no 500                test_no_body_whatever_makes_a_500
queries, pages, positions         every GET                             400 or an answer      test_every_answer_is_as_described
idempotency keys                  fieldgate.http.idempotency            visible ASCII         test_a_key_is_what_its_description_says
request ids                       fieldgate.request_id                  sane, or made         test_any_request_id_is_sane_or_another
quantities                        stock.request_types                   in bounds             test_whatever_number_comes_is_refused_or_is_what_the_database_can_keep
products, reasons                 stock.request_types                   can be shown          test_whatever_text_comes_is_refused_or_is_trimmed_and_can_be_shown
days, clocks, zones, devices      stock, push .request_types            ours                  test_no_field_of_a_request_raises_anything_else
values of the configuration       fieldgate.configuration               taken or a fault      test_whatever_is_of_its_type_and_within_its_bounds_is_taken
addresses of databases            fieldgate.db.url                      ours, no secret told  test_no_address_raises_anything_else_or_tells_its_password
passwords in those                fieldgate.db.url                      round trip            test_any_password_survives_percent_encoding
settings                          fieldgate.settings                    ours                  test_no_setting_raises_anything_else
rows of the outbox                realtime.relaying                     once, in order        test_each_thing_is_told_of_once_in_the_order_of_its_last_change
events of CloudWatch Logs         operations.log_lines                  round trip            test_any_lines_of_a_log_come_out_as_they_were
lines of logs                     operations.log_lines                  bounded               test_any_line_can_be_sent
answers, at the client            fieldgate_client.answers              ours                  test_no_json_is_a_traceback
fields of those                   fieldgate_client.answers              ours                  test_no_field_is_a_traceback
frames, at the client             fieldgate_client.realtime_frames      ours                  test_no_frame_is_a_traceback
"""

TRIES = int(os.environ.get("FUZZ_TRIES", "200"))
often = settings(max_examples=TRIES, deadline=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
any_text = st.text(max_size=200) | st.binary(max_size=200).map(lambda it: it.decode("latin-1"))


def test_every_test_in_the_table_exists() -> None:
    named = {line.split()[-1] for line in PARSERS.strip().splitlines()[1:]}
    defined = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 30
    assert not named - defined


@often
@given(any_text | json_values.map(json.dumps) | st.text("[{", max_size=3_000))
def test_no_frame_raises_anything_else(frame: str) -> None:
    told: list[str] = []
    for read in (plain.read, signalr.read, frames.check_size):
        try:
            read(frame)
        except frames.FrameRefused as refusal:
            # What the client is told is ours, never the frame's.
            told.append(refusal.sentence)
    assert all(sentence.endswith(".") for sentence in told)
    assert frames.is_signalr(frame) in {True, False}


@often
@given(st.text(max_size=20), st.none() | st.integers(-(2**53) + 1, 2**53 - 1), json_values)
def test_a_plain_request_comes_back_as_it_was_written(
    action: str, request_id: int | None, value: Any
) -> None:
    told = {"action": action, "value": value} | ({"id": request_id} if request_id else {})
    try:
        request = plain.read(json.dumps(told))
    except frames.FrameRefused:  # of what JSON doesn't have, or too deep
        return
    assert (request.action, request.id) == (action, request_id or None)
    assert request.content["value"] == value


@often
@given(st.text(max_size=20), st.text("abc019", max_size=20), st.lists(st.integers(), max_size=3))
def test_signalr_records_come_back_as_they_were_written(
    target: str, invocation_id: str, arguments: list[int]
) -> None:
    record = {"type": 1, "target": target, "invocationId": invocation_id, "arguments": arguments}
    ours = signalr.invocation("DataChanged", {"n": arguments})
    frame = json.dumps(record) + frames.RECORD_SEPARATOR + ours + signalr.PING
    called, told, ping = signalr.read(frame)
    assert called == signalr.Invocation(invocation_id, target, arguments)
    assert told == signalr.Invocation(None, "DataChanged", [{"n": arguments}])
    assert ping == signalr.Ping()


FIELDS: list[Any] = [
    *(Code, Email, Name, NewPassword, Password),
    *(AppVersion, Clock, NewDevice, Day, Warehouse, TimeZone, Sha256),
    *(request_types.Name, request_types.EntityId, request_types.UserId, request_types.Channel),
    *(request_types.Channels, request_types.Audience),
]


@pytest.mark.parametrize("field", [TypeAdapter(field) for field in FIELDS], ids=repr)
@settings(max_examples=TRIES // 2, deadline=None)
@given(value=any_text | json_values)
def test_no_field_of_a_request_raises_anything_else(field: TypeAdapter[Any], value: Any) -> None:
    with suppress(ValidationError):
        field.validate_python(value)


@often
@given(st.binary(min_size=32, max_size=32))
def test_a_digest_comes_back_from_both_ways_to_write_it(digest: bytes) -> None:
    read = TypeAdapter(Sha256).validate_python
    assert read(digest.hex()) == read(digest.hex().upper()) == digest
    assert read(base64.b64encode(digest).decode()) == digest


@often
@given(any_text | json_values.map(json.dumps))
def test_no_message_raises_anything_but_poison(body: str) -> None:
    with suppress(PoisonMessage):
        fan_out_queue.read(body)


@often
@given(any_text)
def test_any_authorization_is_a_token_or_none(header: str) -> None:
    token = bearer_token(header)
    assert token in header
    assert not token or header.lower().startswith("bearer ")


@often
@given(any_text, st.binary(min_size=32, max_size=32), st.uuids())
def test_a_refresh_token_comes_back_and_nothing_else_is_one(
    text: str, changing: bytes, session_id: UUID
) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PEPPER", "a pepper of these tests, of 32 chars")
        forget()
        token = RefreshToken(session_id, changing)
        assert RefreshToken.parse(token.text) == token
        with pytest.raises(Unauthorized):
            RefreshToken.parse(text)
        with pytest.raises(Unauthorized):
            RefreshToken.parse(text + token.text[1:])
    forget()


@often
@given(
    st.binary(max_size=300)
    | st.dictionaries(
        st.sampled_from(["id", "status", "phoneNumber", "failureReason", "x"]), st.text(max_size=30)
    ).map(lambda fields: urllib.parse.urlencode(fields, errors="replace").encode())
)
def test_no_form_raises_anything_else(body: bytes) -> None:
    try:
        report = DeliveryReport.read(body)
    except ValidationFailed:
        return
    assert report.phone_number.startswith("+")


@often
@given(any_text)
def test_a_key_is_what_its_description_says(key: str) -> None:
    described: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(pattern="^[!-~]{1,255}$")])
    try:
        described.validate_python(key)
    except ValidationError:
        assert not _VISIBLE_ASCII.fullmatch(key)
    else:
        assert _VISIBLE_ASCII.fullmatch(key)


@often
@given(any_text)
def test_any_request_id_is_sane_or_another(given_id: str) -> None:
    adopted = adopt(given_id)
    assert 1 <= len(adopted) <= 128
    assert adopted.isascii()
    assert adopted.isprintable()
    assert adopt(adopted) == adopted


@often
@given(
    any_text.map(lambda text: f"postgresql://user:hunter2-{text}")
    | any_text
    | json_values.map(json.dumps)
    | st.dictionaries(st.sampled_from(["username", "password", "host", "port"]), json_values).map(
        json.dumps
    )
)
def test_no_address_raises_anything_else_or_tells_its_password(text: str) -> None:
    for parse in (url.parse_url, url.parse_connection_string, url.parse_secret):
        try:
            told = repr(parse(text, "the test"))
        except ConfigurationError as error:
            told = str(error)
        assert "hunter2" not in told


class AnySettings(Settings):
    number: Annotated[int, Field(ge=1)] = 1
    truth: bool = False
    word: Annotated[str, Field(pattern="^[a-z]+$")] = "a"


@often
@given(
    st.dictionaries(
        st.sampled_from(["NUMBER", "TRUTH", "WORD"]),
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30),
    )
)
def test_no_setting_raises_anything_else(values: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in values.items():
            environment.setenv(name, value)
        forget()
        try:
            told = f"NUMBER {load(AnySettings).number}"
        except ConfigurationError as error:
            told = str(error)
    forget()
    assert any(name in told for name in ["NUMBER", *values])


@often
@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_lines_of_a_log_come_out_as_they_were(messages: list[str]) -> None:
    """What CloudWatch hands over is its own; what is in the lines is anybody's."""
    now = int(datetime(2026, 1, 10, tzinfo=UTC).timestamp() * 1000)
    content = {
        "messageType": "DATA_MESSAGE",
        "owner": "111122223333",
        "logGroup": "group",
        "logStream": "stream",
        "subscriptionFilters": [],
        "logEvents": [
            {"id": str(n), "timestamp": now, "message": message}
            for n, message in enumerate(messages)
        ],
    }
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()
    delivery = log_lines.read({"awslogs": {"data": packed}})
    assert delivery is not None
    assert [line.message for line in delivery.lines] == messages
    for line in delivery.lines:
        assert log_lines.kinds(line.message) <= {log_lines.ERRORS, log_lines.EXCEPTIONS}
        log_lines.copied(line, delivery)


@often
@given(any_text | st.lists(any_text, max_size=4) | json_values)
def test_any_names_are_channels_or_refused(names: Any) -> None:
    try:
        found = audiences.channel_names(names)
    except ValueError:
        return
    assert found == sorted(set(names))
