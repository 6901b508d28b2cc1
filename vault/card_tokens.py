"""Card tokens: numbers that look like a card's and tell nothing of it but its length."""

import secrets
from collections.abc import Callable

#: Lengths of a card's number (ISO/IEC 7812-1: up to 19 digits; 12 are the fewest that were issued, and the example of
#: Databunker's SDK has 10). Fewer would be guessed.
LENGTHS = range(10, 20)


def is_card_number(text: str) -> bool:
    """Whether the text is as many digits as a card has. Its check digit is not looked at."""
    return text.isascii() and text.isdigit() and len(text) in LENGTHS


def new_card_token(number: str, below: Callable[[int], int] = secrets.randbelow) -> str:
    """Return a random number of the same length, and another, whose check digit is right (ISO/IEC 7812-1, annex B).

    It does not begin with 0, so that it survives being taken for a whole number. ``below`` chooses at random.
    """
    while True:
        body = "".join(str(digit) for digit in (1 + below(9), *(below(10) for _ in number[2:])))
        token = body + check_digit(body)
        if token != number:
            return token


def check_digit(body: str) -> str:
    """Return the digit that completes the number, by Luhn's formula."""
    doubled = (2 * int(digit) for digit in body[::-2])
    total = sum(d - 9 if d > 9 else d for d in doubled) + sum(int(digit) for digit in body[-2::-2])
    return str(-total % 10)
