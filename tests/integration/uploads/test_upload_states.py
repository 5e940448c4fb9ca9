"""Whatever comes in whatever order: uploads against a small model of what they should be.

`STRESS=1 make stress` tries for an hour or so, `STRESS=0.1` for some minutes.
"""

import hashlib
import math
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, func, update

from fieldgate.db.tables.all import media, uploads
from fieldgate.errors import Unavailable
from local.valkey import ValkeyServer
from tests.conftest import empty_valkey
from tests.support.assembly import Killed, Life, Yard
from tests.support.gateway import Answer, call
from tests.support.media import put, row_of
from tests.support.sender import CHUNK, Sender, some_bytes
from tests.support.upload_model import LIVE, OPEN, Model
from uploads import assembling, delete_media, staged_chunks
from uploads.assembly_store import LEASE
from uploads.cleaning import clean_up
from uploads.cleaning_store import FORGOTTEN, URLS_ARE_DEAD

EXAMPLES = max(10, math.ceil(2000 * float(os.environ.get("STRESS", "0"))))
STEPS = 40

# One byte; two chunks, the last of one byte; three whole ones; four.
CONTENTS = [some_bytes(size) for size in (1, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5000)]
PICK = st.integers(0, 1000)
RARELY = st.sampled_from([False] * 9 + [True])
SOMETIMES = st.sampled_from([False, False, True])


class Transfers(RuleBasedStateMachine):
    """A phone, its network, the assembler, the clean-up and the clock, at random."""

    sender: Sender
    yard: Yard
    valkey: ValkeyServer

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.models: list[Model] = []
        self.queue: list[str] = []

    # The phone

    @initialize(target=known, content=st.sampled_from(CONTENTS))
    def begin_with_one(self, content: bytes) -> Model:
        return self.begun(content)

    @rule(target=known, content=st.sampled_from(CONTENTS))
    @precondition(lambda self: len(self.models) < 3)
    def create(self, content: bytes) -> Model:
        return self.begun(content)

    @rule(model=known, numbers=st.sets(st.integers(1, 4), min_size=1))
    def sign(self, model: Model, numbers: set[int]) -> None:
        numbers = numbers & model.numbers or {1}
        answer = self.sender.sign_these(model.sent, sorted(numbers))
        if model.seen not in OPEN:
            self.refused(answer, model)
            return
        assert answer.status == 200
        model.state = "uploading"
        model.urls |= {signed["number"]: signed for signed in answer.data["urls"]}

    @rule(model=known, which=PICK)
    @precondition(lambda self: any(model.urls for model in self.models))
    def put(self, model: Model, which: int) -> None:
        if number := self.a_signed(model, which):
            assert put(model.urls[number], model.sent.chunk(number)).status_code == 200
            self.arrived(model, number)
            model.acknowledged.add(number)

    @rule(model=known)
    @precondition(lambda self: any(model.urls for model in self.models))
    def put_all(self, model: Model) -> None:
        for number in sorted(model.urls):
            self.put(model, number)

    @rule(model=known, which=PICK)
    @precondition(lambda self: any(model.urls for model in self.models))
    def put_and_hear_nothing(self, model: Model, which: int) -> None:
        if number := self.a_signed(model, which):
            self.put_in_vain(model, number, "lost")
            self.arrived(model, number)

    @rule(model=known, which=PICK)
    @precondition(lambda self: any(model.urls for model in self.models))
    def put_half(self, model: Model, which: int) -> None:
        if number := self.a_signed(model, which):
            self.put_in_vain(model, number, "cut")

    @rule(model=known, which=PICK, extra=st.sampled_from([b"", b"!"]))
    @precondition(lambda self: any(model.urls for model in self.models))
    def put_something_else(self, model: Model, which: int, extra: bytes) -> None:
        if number := self.a_signed(model, which):
            content = model.sent.chunk(number)
            other = bytes(byte ^ 1 for byte in content) + extra
            assert put(model.urls[number], other).status_code in {400, 403}

    @rule(model=known, times=st.sampled_from([1, 2, 9, 12]))
    def report_failures(self, model: Model, times: int) -> None:
        for _ in range(times):
            answer = self.sender.fail(model.sent.id)
            if model.seen in OPEN:
                model.fail(len(model.received))
            if model.seen in {*OPEN, "failed", "assembling"}:
                expected = {"consecutiveFailures": model.failures, "state": model.state}
                assert (answer.status, answer.data) == (200, expected)
            else:
                self.refused(answer, model)

    @rule(model=known)
    def resume(self, model: Model) -> None:
        answer = self.sender.resume(model.sent.id)
        if model.seen not in {*OPEN, "failed"}:
            self.refused(answer, model)
            return
        if model.state == "failed":
            model.state, model.failures = "uploading", 0
        assert answer.status == 200
        self.shows(answer, model)

    @rule(model=known)
    def complete(self, model: Model) -> None:
        answer = self.sender.complete(model.sent.id)
        if model.seen in OPEN:
            missing = sorted(model.numbers - model.received)
            if missing:
                assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
                details = answer.error["details"]
                assert [int(detail["message"]) for detail in details] == missing
                return
            model.state = "assembling"
        if model.state in {"assembling", "completed"}:
            status = {"assembling": 202, "completed": 200}[model.state]
            assert (answer.status, answer.data["state"]) == (status, model.state)
        else:
            self.refused(answer, model)

    @rule(model=known, which=PICK, spoiled=SOMETIMES)
    def send_it_all(self, model: Model, which: int = 0, spoiled: bool = False) -> None:
        """What a phone does when nothing goes wrong, or storage does it in silence."""
        if model.seen in OPEN:
            self.sign(model, model.numbers)
            self.put_all(model)
            if spoiled:
                self.storage_spoils_a_chunk(model, which)
            self.complete(model)

    @rule(model=known, rarely=RARELY)
    def abort(self, model: Model, rarely: bool) -> None:
        if not rarely:
            return
        answer = self.sender.abort(model.sent.id)
        if model.state == "completed":
            self.refused(answer, model)
            return
        assert answer.status == 204
        if model.state in LIVE:
            model.give_up()

    @rule(model=known, rarely=RARELY)
    def delete_media(self, model: Model, rarely: bool) -> None:
        if not rarely:
            return
        path = f"/api/v1/media/{model.sent.media_id}"
        answer = call(delete_media.handler, "DELETE", path, authorizer=self.sender.caller)
        assert answer.status == (204 if model.has_media else 404)
        if model.has_media and model.state in LIVE:
            model.give_up()
        model.has_media = False

    # What nobody wants to happen

    @rule(model=known, which=PICK)
    @precondition(lambda self: any(model.good for model in self.models))
    def storage_spoils_a_chunk(self, model: Model, which: int) -> None:
        """As one that doesn't check what was signed: it is no longer the phone's chunk."""
        if not model.good or model.state not in LIVE:
            return
        number = sorted(model.good)[which % len(model.good)]
        content = bytes(byte ^ 1 for byte in model.sent.chunk(number))
        self.yard.store(self.key(model, number), content)
        model.good.remove(number)
        model.acknowledged.discard(number)
        model.bad.add(number)

    @rule(which=PICK)
    @precondition(lambda self: self.queue)
    def a_message_is_lost(self, which: int) -> None:
        self.queue.pop(which % len(self.queue))

    @rule(which=PICK)
    @precondition(lambda self: self.queue)
    def a_message_comes_twice(self, which: int) -> None:
        self.queue.append(self.queue[which % len(self.queue)])

    # The assembler

    @rule(which=PICK, before=st.booleans(), ends_at=st.none() | st.integers(1, 16))
    @precondition(lambda self: self.queue)
    def assemble(self, which: int, before: bool, ends_at: int | None) -> None:
        self.run_the_assembler(which % len(self.queue), Life(ends_at, before=before))

    @rule(
        model=known,
        which=PICK,
        spoiled=SOMETIMES,
        deaths=st.lists(st.integers(1, 16), max_size=7),
        before=st.booleans(),
    )
    def send_and_assemble(
        self, model: Model, which: int, spoiled: bool, deaths: list[int], before: bool
    ) -> None:
        """As the queue does, it is tried again after each death: six are one too many."""
        self.send_it_all(model, which, spoiled)
        for ends_at in [*deaths, None]:
            self.queue.append(str(model.sent.id))
            self.run_the_assembler(len(self.queue) - 1, Life(ends_at, before=before))
            self.leases_end()

    # The clock

    @rule(model=known, rarely=RARELY)
    def a_day_goes_by(self, model: Model, rarely: bool) -> None:
        if rarely:
            self.sender.let_expire(model.sent.id)
            model.late = True

    @rule(model=known)
    def urls_die(self, model: Model) -> None:
        if model.urls:
            long_ago = func.now() - URLS_ARE_DEAD - timedelta(seconds=1)
            self.sender.change(model.sent.id, last_signed_at=long_ago)
            model.urls = {}

    @rule()
    def leases_end(self) -> None:
        self.write(
            update(uploads)
            .where(uploads.c.assembling_since.is_not(None))
            .values(assembling_since=func.now() - LEASE - timedelta(seconds=1))
        )

    @rule()
    def minutes_go_by(self) -> None:
        self.leases_end()
        self.write(update(uploads).values(updated_at=func.now() - FORGOTTEN - timedelta(seconds=1)))

    @rule(ends_at=st.none() | st.integers(1, 24), before=st.booleans())
    def clean_up(self, ends_at: int | None, before: bool) -> None:
        self.run_the_clean_up(Life(ends_at, before=before))

    # What holds at every moment

    @invariant()
    def everybody_sees_what_should_be(self) -> None:
        self.take_messages()
        for model in self.models:
            self.shows(self.sender.get(model.sent.id), model)
            assert (row_of(self.sender.database, model.sent.media_id) is not None) == (
                model.has_media
            )

    @invariant()
    def no_acknowledged_chunk_of_a_live_upload_is_lost(self) -> None:
        staged = self.sender.staged()
        for model in self.models:
            if model.seen in LIVE:
                for number in model.good:
                    assert staged[self.key(model, number)] == model.sent.chunk(number)
                assert model.acknowledged <= model.good

    @invariant()
    def a_complete_file_is_there_once_and_whole_and_no_other_is_ever_wrong(self) -> None:
        made = self.yard.made()
        assert made.keys() <= {self.object_key(model) for model in self.models}
        for model in self.models:
            content = made.get(self.object_key(model))
            if model.state == "completed" and model.has_media:
                assert content == model.sent.content
            elif model.state == "completed":
                assert content is None
            else:
                # Of a run that was killed; the next takes it, or the clean-up does.
                assert content in {None, model.sent.content}

    def teardown(self) -> None:
        try:
            # What has failed already is not to be covered by what follows from it.
            if sys.exception() is None:
                self.finish()
        finally:
            self.begin_anew()

    def finish(self) -> None:
        """Bring what still can be to its end, have the rest cleaned up, and look what is left."""
        for model in self.models:
            if model.state == "assembling" or model.seen in {*OPEN, "failed"}:
                self.bring_to_its_end(model)
        for model in self.models:
            self.urls_die(model)
            self.sender.let_expire(model.sent.id)
            model.late = True
        self.minutes_go_by()
        self.run_the_clean_up(Life())
        self.everybody_sees_what_should_be()
        complete = {
            self.object_key(model): model.sent.content
            for model in self.models
            if model.state == "completed" and model.has_media
        }
        assert self.yard.made() == complete
        assert self.sender.staged() == {}
        assert {model.state for model in self.models} <= {"completed", "aborted", "expired"}

    def bring_to_its_end(self, model: Model) -> None:
        """Send, complete and assemble until it is complete: twice is enough, after a bad chunk."""
        for _ in range(4):
            if model.seen == "failed":
                self.resume(model)
            self.send_it_all(model)
            self.leases_end()
            self.take_messages()
            self.queue.append(str(model.sent.id))
            self.run_the_assembler(len(self.queue) - 1, Life())
            if model.state == "completed" or model.seen == "expired":
                return
        raise AssertionError(f"it never ends: {model.state}")

    # How it is done

    def run_the_assembler(self, index: int, life: Life) -> None:
        """Deliver a message; as the queue does, keep it unless the run says that it is done."""
        self.take_messages()
        model = next(model for model in self.models if str(model.sent.id) == self.queue[index])
        before = self.sender.row(model.sent.id)
        lived = False
        try:
            assembling.assemble(life.places(self.yard.places), self.queue[index])
            self.queue.pop(index)
            lived = True
        except Unavailable:
            assert self.is_leased(before), "nobody else was at it"
        except Killed:
            pass
        if model.state != "assembling":
            return
        row, staged = self.sender.row(model.sent.id), self.sender.staged()
        # Those that are no good are removed, before or after the run ended.
        model.bad = {number for number in model.bad if self.key(model, number) in staged}
        if lived or row["state"] != "assembling":
            self.ended(model, row, attempts=before["assembly_attempts"])

    def run_the_clean_up(self, life: Life) -> None:
        lived = False
        try:
            clean_up(life.places(self.yard.places), self.ask_for_assembly)
            lived = True
        except Killed:
            pass
        for model in self.models:
            if model.seen == "expired" and model.state != "expired":
                state = self.sender.row(model.sent.id)["state"]
                assert state == "expired" or (state == model.state and not lived)
                model.state, model.has_media = state, state != "expired"

    def ended(self, model: Model, row: dict[str, Any], attempts: int) -> None:
        """Have the model do as the run should have done."""
        if attempts >= assembling.MAX_ATTEMPTS:
            model.state = "failed"
            assert row["failure_reason"] == "ASSEMBLY_FAILED"
        elif row["state"] == "completed":
            model.state = "completed"
        else:
            assert not model.numbers <= model.good, "nothing was wrong with it"
            model.state = "uploading"
            # Where some are missing, the others are not looked at.
            model.fail(len(model.good | model.bad))
        assert row["state"] == model.state

    def is_leased(self, row: dict[str, Any]) -> bool:
        since = row["assembling_since"]
        return since is not None and since > datetime.now(UTC) - LEASE

    def begun(self, content: bytes) -> Model:
        digest = hashlib.sha256(content).hexdigest()
        model = Model(self.sender.begin(content, sha256=digest))
        self.models.append(model)
        return model

    def a_signed(self, model: Model, which: int) -> int | None:
        """Return the number of a chunk that may be sent now, if there is one."""
        numbers = sorted(model.urls)
        return numbers[which % len(numbers)] if numbers else None

    def arrived(self, model: Model, number: int) -> None:
        model.good.add(number)
        model.bad.discard(number)

    def put_in_vain(self, model: Model, number: int, mode: Any) -> None:
        self.sender.s3.faults.set("s3", mode, 60)
        with pytest.raises(httpx.TransportError):
            put(model.urls[number], model.sent.chunk(number))
        self.sender.s3.faults.set("s3", mode, 0)

    def shows(self, answer: Answer, model: Model) -> None:
        data = answer.data
        assert data["state"] == model.seen
        assert data["received"] == sorted(model.received)
        assert data["missing"] == sorted(model.numbers - model.received)
        assert data["consecutiveFailures"] == model.failures

    def refused(self, answer: Answer, model: Model) -> None:
        assert (answer.status, answer.error["code"]) == model.refusal()

    def key(self, model: Model, number: int) -> str:
        digest = hashlib.sha256(model.sent.chunk(number)).digest()
        return staged_chunks.key_of(model.sent.id, number, digest)

    def object_key(self, model: Model) -> str:
        return f"client-documents/{model.sent.media_id}.txt"

    def take_messages(self) -> None:
        calls, self.sender.sqs.calls[:] = list(self.sender.sqs.calls), []
        self.queue += [c["MessageBody"] for name, c in calls if name == "SendMessage"]
        # The phone is not to be told that it asks too often.
        empty_valkey(self.valkey.url)

    def ask_for_assembly(self, bodies: Any) -> int:
        self.queue += bodies
        return len(bodies)

    def write(self, statement: Any) -> None:
        self.sender.database.transact(lambda connection: connection.execute(statement))

    def begin_anew(self) -> None:
        self.write(delete(uploads))
        self.write(delete(media))
        self.sender.s3.reset()
        self.take_messages()


def test_whatever_comes_nothing_is_lost_and_nothing_is_left(
    environment: pytest.MonkeyPatch, sender: Sender, yard: Yard, valkey: ValkeyServer
) -> None:
    # A busy machine may be slow to answer; that is not what is tested.
    environment.setattr("fieldgate.storage.s3_client.READ_TIMEOUT_SECONDS", 60)

    class Here(Transfers):
        def __init__(self) -> None:
            self.sender, self.yard, self.valkey = sender, yard, valkey
            super().__init__()

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
