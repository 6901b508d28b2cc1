from hypothesis import given
from hypothesis import strategies as st

from vault.card_tokens import LENGTHS, check_digit, is_card_number, new_card_token

numbers = st.integers(LENGTHS.start, LENGTHS.stop - 1).flatmap(
    lambda length: st.text("0123456789", min_size=length, max_size=length)
)


def luhn(number: str) -> bool:
    """Luhn's formula as ISO/IEC 7812-1 has it, from the right, digit by digit."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled // 10 + doubled % 10
    return total % 10 == 0


@given(numbers)
def test_a_token_looks_like_the_number(number: str) -> None:
    """It is digits of the same length whose check digit is right, begins with no 0, and is another number."""
    token = new_card_token(number)
    assert is_card_number(token)
    assert len(token) == len(number)
    assert luhn(token)
    assert token[0] != "0"
    assert token != number


@given(numbers)
def test_two_tokens_of_a_number_differ(number: str) -> None:
    """Nothing of the number is in its token: another time it is another. By chance they agree once in 10^11."""
    assert new_card_token(number) != new_card_token(number)


def test_the_number_itself_is_no_token() -> None:
    """When chance comes up with the very number, it is asked again."""
    number, other = "4111111111111111", "5555555555554444"
    chance = iter(
        int(digit) - (place == 0) for each in (number, other) for place, digit in enumerate(each[:-1])
    )
    assert new_card_token(number, lambda _: next(chance)) == other


@given(numbers)
def test_the_check_digit_is_the_only_one_that_fits(number: str) -> None:
    """Of the ten numbers that differ in the last digit, one is right by Luhn's formula: the one that is made."""
    body = number[:-1]
    assert [digit for digit in "0123456789" if luhn(body + digit)] == [check_digit(body)]


def test_check_digits_that_are_known() -> None:
    """Numbers that card networks publish for tests."""
    for number in ("4111111111111111", "5555555555554444", "378282246310005", "6011111111111117"):
        assert check_digit(number[:-1]) == number[-1]


def test_what_is_a_card_number() -> None:
    """Ten to nineteen ASCII digits, right or wrong by their check digit, and nothing else."""
    assert [len("4" * n) for n in range(25) if is_card_number("4" * n)] == list(range(10, 20))
    for text in (
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "+411111111111111",
        "٤١١١١١١١١١١١١١١١",
        "card",
    ):
        assert not is_card_number(text)
