"""Which ranges of numbers look bought."""

import pytest

from sms.pumping import (
    MEASURED_RANGES,
    by_country,
    is_bought_country,
    is_bought_range,
    main_country_of_calling_code,
    worst,
)
from sms.store import Conversion


@pytest.mark.parametrize(
    ("sent", "verified", "suspected"),
    [(9, 0, False), (10, 0, True), (10, 1, True), (10, 2, False), (50, 9, True), (50, 10, False)],
)
def test_a_range_is_suspected_when_few_of_many_codes_come_back(
    sent: int, verified: int, *, suspected: bool
) -> None:
    assert is_bought_range(Conversion("+254711000", sent, verified)) is suspected


@pytest.mark.parametrize(
    ("sent", "verified", "suspected"),
    [(49, 0, False), (50, 0, True), (50, 9, True), (50, 10, False), (500, 99, True)],
)
def test_a_country_is_suspected_when_few_of_very_many_do(
    sent: int, verified: int, *, suspected: bool
) -> None:
    assert is_bought_country(Conversion("KE", sent, verified)) is suspected


def test_only_the_worst_ranges_with_enough_codes_are_measured() -> None:
    good = [Conversion(f"+2547110{number:02}", 20, 15) for number in range(MEASURED_RANGES)]
    bad = Conversion("+254722000", 20, 5)
    worse = Conversion("+254733000", 10, 1)
    as_bad_and_dearer = Conversion("+254744000", 40, 4)
    few = Conversion("+254755000", 9, 0)
    found = worst([*good, bad, worse, as_bad_and_dearer, few])
    assert found[:3] == [as_bad_and_dearer, worse, bad]
    assert len(found) == MEASURED_RANGES


def test_the_ranges_of_a_country_are_added_up() -> None:
    ranges = [
        Conversion("+254711000", 3, 1),
        Conversion("+256700000", 1, 0),
        Conversion("+254722000", 4, 2),
    ]
    assert by_country(ranges) == [Conversion("KE", 7, 3), Conversion("UG", 1, 0)]


@pytest.mark.parametrize(
    ("prefix", "country"),
    [
        ("+254711000", "KE"),
        ("+256700123", "UG"),
        ("+1416555", "US"),
        ("+999000000", "ZZ"),
        ("x", "ZZ"),
    ],
)
def test_a_range_belongs_to_the_country_of_its_calling_code(prefix: str, country: str) -> None:
    assert main_country_of_calling_code(prefix) == country
