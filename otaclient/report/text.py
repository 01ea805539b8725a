"""Text from devices and vendors as safe, short HTML: device identifiers come from whoever named the devices."""

from html import escape

__all__ = ["number", "share", "shown"]

_LONGEST = 64


def shown(text: str, *, longest: int = _LONGEST) -> str:
    """Return a text as HTML that is short, and in which nothing is markup, or invisible, or turns words around."""
    plain = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text[: longest + 1]
    )
    return escape(plain if len(plain) <= longest else f"{plain[: longest - 1]}…")


def number(count: int) -> str:
    """Return a number with its thousands apart."""
    return f"{count:,}"


def share(count: int, of: int) -> str:
    """Return a share in per cent; what is not nothing does not look like it."""
    if not of or not count:
        return "0 %"
    per_cent = 100 * count / of
    if per_cent < 0.1:
        return "< 0.1 %"
    if per_cent > 99.9 and count < of:
        return "> 99.9 %"
    return f"{per_cent:.1f} %" if count < of else "100 %"
