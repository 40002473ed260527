"""Errors of the OUCH 5.0 codec, and its alpha fields: ASCII, blanks on the right. Pure.

Ouch50Error               no OUCH message, or values that do not fit into one
  BadField                right type and length, but a value that cannot be read: the numbers
    AppendageError        of the fixed part are there, so an order can be refused by them
      UnknownTag
"""

from __future__ import annotations

from functools import lru_cache


class Ouch50Error(ValueError):
    """Bytes that are not an OUCH 5.0 message, or values that do not fit into one."""


class BadField(Ouch50Error):
    """A message whose fixed part is complete, with text or an appendage that cannot be read."""


class AppendageError(BadField):
    """An appendage that is not whole, known, different elements."""


class UnknownTag(AppendageError):
    """A whole element of an appendage with a tag that Appendix A does not assign."""

    def __init__(self, tag: int) -> None:
        super().__init__(f"tag {tag}: not assigned; see OUCH 5.0, Appendix A")
        self.tag = tag


# A field of one character that is printable ASCII; a blank is "".
_CODES = {bytes([code]): chr(code).rstrip(" ") for code in range(0x20, 0x7F)}


def decode_code(raw: bytes) -> str:
    """The character of a field of one byte. Raises BadField unless it is printable ASCII."""
    code = _CODES.get(raw)
    if code is None:
        raise BadField(f"code {raw!r}: only printable ASCII is allowed")
    return code


def decode_text(raw: bytes) -> str:
    """Text of a padded field. Raises BadField unless it is printable ASCII."""
    if not raw.isascii() or not (text := raw.decode("ascii")).isprintable():
        raise BadField(f"text field {raw!r}: only printable ASCII is allowed")
    return text.rstrip(" ")


decode_name = lru_cache(maxsize=16_384)(decode_text)
"""As decode_text, for symbols and firms, of which there are few."""


def encode_text(text: str, width: int) -> bytes:
    """`text` as a field of `width` bytes, blanks on the right. Raises Ouch50Error if it cannot
    be."""
    if len(text) > width or not text.isascii() or not text.isprintable():
        raise Ouch50Error(f"text {text!r}: at most {width} printable ASCII characters are allowed")
    return text.encode("ascii").ljust(width)


@lru_cache(maxsize=16_384)
def symbol_field(symbol: str) -> bytes:
    """The 8 bytes of a symbol. Raises Ouch50Error for what is too long or not printable ASCII."""
    return encode_text(symbol, 8)


def cl_ord_id_field(cl_ord_id: str) -> bytes:
    """The 14 bytes of a ClOrdID. Raises Ouch50Error for what is too long or not printable
    ASCII."""
    return encode_text(cl_ord_id, 14)
