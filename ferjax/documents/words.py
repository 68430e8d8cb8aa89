"""Numbers with their nouns."""


def count(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s where there is not exactly one: '1 face', '2,000 faces'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
