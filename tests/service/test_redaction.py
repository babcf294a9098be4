"""What may say who wrote a text is not in what is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.redaction import GIVEN_NAMES, LONGEST, redact


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mail jane.doe+x@mail.example.co.uk now", "mail [email] now"),
        ("call +49 (0)30 1234-567 or 0171/5551234", "call [number] or [number]"),
        ("card 4111 1111 1111 1111, expires 12/29", "card [number], expires [number]"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [number] please"),
        ("see https://example.com/reset?token=abc#x for it", "see [link] for it"),
        ("the token: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc is", "the token: [key] is"),
        ("use AKIAIOSFODNN7EXAMPLE today", "use [key] today"),
        ("id 123e4567-e89b-12d3-a456-426614174000 failed", "id [key] failed"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- help", "[key] help"),
        ("please ask Ada Byron about it. Thanks!", "please ask [name] about it. Thanks!"),
        ("my name is ada and i forgot", "my name is [name] and i forgot"),
        ("Dear mrs. byron, the card", "Dear mrs. [name], the card"),
        ("my name is ada byron, hello", "my name is [name], hello"),
        ("hi this is john, @johnny_b on there", "hi this is [name] on there"),
        ("Peter's card is lost", "[name] card is lost"),
        ("WHY DOES IT NOT WORK", "WHY DOES IT NOT WORK"),
        ("Can I see what I've paid? I'm lost.", "Can I see what I've paid? I'm lost."),
        ("what is my balance", "what is my balance"),
        ("ring 一二三 ٠١٢٣٤", "ring 一二三 [number]"),
    ],
)
def test_what_goes_and_what_stays(text: str, kept: str) -> None:
    assert redact(text) == kept


@given(st.text(max_size=300))
def test_no_digit_no_address_and_no_common_name_is_left(text: str) -> None:
    kept = redact(text)
    assert not any(character.isdecimal() for character in kept)
    assert "@" not in kept


@given(st.sampled_from(sorted(GIVEN_NAMES)), st.sampled_from(["{} wants it", "it is for {}.", "ask {}'s bank", "({})"]), st.booleans())
def test_common_given_names_go_wherever_they_stand(name: str, frame: str, capital: bool) -> None:
    assert name not in redact(frame.format(name.title() if capital else name)).lower()


def test_a_long_text_is_cut() -> None:
    assert len(redact("word " * 10_000)) <= LONGEST
