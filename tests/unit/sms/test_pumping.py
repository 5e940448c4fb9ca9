"""Which ranges of numbers look bought."""

import pytest

from sms.pumping import country_of, is_suspected
from sms.store import Conversion


@pytest.mark.parametrize(
    ("sent", "verified", "suspected"),
    [(9, 0, False), (10, 0, True), (10, 1, True), (10, 2, False), (50, 9, True), (50, 10, False)],
)
def test_a_range_is_suspected_when_few_of_many_codes_come_back(
    sent: int, verified: int, *, suspected: bool
) -> None:
    assert is_suspected(Conversion("+254711000", sent, verified)) is suspected


@pytest.mark.parametrize(
    ("prefix", "country"),
    [("+254711000", "KE"), ("+256700123", "UG"), ("+999000000", "ZZ"), ("x", "ZZ")],
)
def test_a_range_belongs_to_the_country_of_its_calling_code(prefix: str, country: str) -> None:
    assert country_of(prefix) == country
