"""Numbers with what they count, for messages. A pure function."""

__all__ = ["counted"]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 walk`` or ``2,000 walks``.

    Args:
        number: How many there are.
        noun: What one of them is called.
        plural: What several are called, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
