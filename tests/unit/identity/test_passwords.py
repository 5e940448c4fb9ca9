"""Password hashes: what is accepted, what is replaced, and what work is done in vain."""

from collections import Counter

import argon2
import bcrypt
import pytest
from argon2 import PasswordHasher, extract_parameters, low_level
from argon2.profiles import RFC_9106_LOW_MEMORY

from identity.passwords import check_password, hash_password

PASSWORD = "maize & beans \N{SNOWMAN}"
GOOD = hash_password(PASSWORD)
WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
FAST_BCRYPT = bcrypt.gensalt(rounds=4)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what argon2 is made to do; it does it all the same."""
    done: Counter[str] = Counter()
    hash_secret, verify_secret = low_level.hash_secret, low_level.verify_secret

    def hashing(*args: object, **kwargs: int) -> bytes:
        done["runs"] += 1
        done["memory"] += kwargs["memory_cost"] * kwargs["time_cost"]
        return hash_secret(*args, **kwargs)  # type: ignore[arg-type]

    def verifying(stored: bytes, *args: object) -> bool:
        parameters = extract_parameters(stored.decode())
        done["runs"] += 1
        done["memory"] += parameters.memory_cost * parameters.time_cost
        return verify_secret(stored, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(argon2._password_hasher, "hash_secret", hashing)
    monkeypatch.setattr(argon2._password_hasher, "verify_secret", verifying)
    return done


def test_a_password_is_hashed_with_argon2id_and_a_salt_of_its_own() -> None:
    assert extract_parameters(GOOD) == RFC_9106_LOW_MEMORY
    assert hash_password(PASSWORD) != GOOD
    assert PASSWORD not in GOOD


def test_the_right_password_is_right_and_its_hash_stays() -> None:
    verdict = check_password(GOOD, PASSWORD)

    assert verdict.correct
    assert verdict.new_hash is None


@pytest.mark.parametrize("wrong", ["", PASSWORD + " ", PASSWORD.upper(), "a\0b", "x" * 1024])
@pytest.mark.parametrize(
    "stored",
    [GOOD, bcrypt.hashpw(PASSWORD.encode(), FAST_BCRYPT).decode()],
    ids=["argon2id", "bcrypt"],
)
def test_a_wrong_password_is_wrong_and_replaces_nothing(stored: str, wrong: str) -> None:
    verdict = check_password(stored, wrong)

    assert not verdict.correct
    assert verdict.new_hash is None


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_a_bcrypt_hash_is_accepted_and_replaced_by_argon2id(prefix: str) -> None:
    stored = prefix + bcrypt.hashpw(PASSWORD.encode(), FAST_BCRYPT).decode()[4:]
    verdict = check_password(stored, PASSWORD)

    assert verdict.correct
    assert verdict.new_hash is not None
    assert extract_parameters(verdict.new_hash) == RFC_9106_LOW_MEMORY
    assert check_password(verdict.new_hash, PASSWORD).correct


@pytest.mark.parametrize("tail", ["", "\N{SNOWMAN}" * 16, "x"])
def test_of_a_password_longer_than_bcrypt_looks_no_unchecked_part_gets_into_a_new_hash(
    tail: str,
) -> None:
    looked_at = "\N{SNOWMAN}" * 24  # 72 bytes
    stored = bcrypt.hashpw(looked_at.encode(), FAST_BCRYPT).decode()
    verdict = check_password(stored, looked_at + tail)

    assert verdict.correct
    assert (verdict.new_hash is None) == bool(tail)


@pytest.mark.parametrize(
    "stored",
    [
        WEAK.hash(PASSWORD),
        PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=argon2.Type.I).hash(
            PASSWORD
        ),
    ],
    ids=["weak", "argon2i"],
)
def test_outdated_parameters_are_accepted_and_replaced(stored: str) -> None:
    verdict = check_password(stored, PASSWORD)

    assert verdict.correct
    assert verdict.new_hash is not None
    assert extract_parameters(verdict.new_hash) == RFC_9106_LOW_MEMORY


DAMAGED = [
    "",
    " ",
    "x",
    PASSWORD,
    "$argon2id$",
    "$argon2id$v=19$m=8,t=1,p=1$$",
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$\N{SNOWMAN}",
    "$argon2id$\0",
    GOOD[:-1],
    GOOD[:40],
    GOOD.replace("m=65536", "m=x"),
    GOOD.replace("m=65536", "m=-1"),
    GOOD.replace("argon2id", "argon2x"),
    GOOD + "A",
    "$2b$",
    "$2b$04$short",
    "$2b$99$" + "a" * 53,
    "$2b$04$" + "\N{SNOWMAN}" * 53,
    "$2x$04$" + "a" * 53,
]


@pytest.mark.parametrize("stored", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_hash_lets_nobody_in(stored: str) -> None:
    for password in (PASSWORD, stored, ""):
        verdict = check_password(stored, password)
        assert not verdict.correct
        assert verdict.new_hash is None


def test_an_unknown_user_costs_what_a_wrong_password_costs(work: Counter[str]) -> None:
    assert not check_password(None, "wrong").correct
    unknown = work.copy()
    work.clear()
    assert not check_password(GOOD, "wrong").correct

    assert work == unknown
    assert work["runs"] == 1
