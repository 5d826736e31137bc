"""Tokens that stand for values where a server has to find them, as in search attributes.

A token is 32 hexadecimal digits (`‖` is concatenation, all labels are ASCII)::

    index key     = what a `Key` of the suite `blind-index` derives from its root
    attribute key = HKDF-Expand(SHA-512, prk = index key,
                                info = "sealwire/blind-index-v1" ‖ 00 ‖ attribute, 32 bytes)
    token         = the first 16 bytes of HMAC-SHA-256(attribute key, tag ‖ text), in hexadecimal

The tag is one byte, so that values of different types never share a token:

- `s`: a text, in Unicode's normalization form C, as UTF-8;
- `f`: a text of an attribute that folds case: Unicode's full case folding between two
  normalizations, D before and C after it (Unicode 16, definition D145), as UTF-8;
- `i`: a whole number, in decimal; `b`: a truth value, `0` or `1`; `y`: bytes, as they are;
- `t`: a time, in microseconds since 1970 in UTC, in decimal.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sealwire.errors import ConversionError

from .key import Key, KeySuite
from .keyring import Keyring

_LABEL: Final = b"sealwire/blind-index-v1\x00"
# 128 bits: two of 2**40 values share a token with a probability of 2**-49.
TOKEN_SIZE: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# What Temporal takes for the name of a search attribute without quotes.
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_MAX_BITS: Final = 8192  # of a whole number: Python writes out no longer ones than 4300 digits


@dataclass(frozen=True)
class BlindIndex:
    """Makes tokens, by which equal values are found without being shown.

    The same value of the same attribute always has the same token under one key, and another one
    in every other attribute. Whoever sees tokens sees which values are equal, and how often each
    occurs; to try out what a token stands for takes the key.

    The keys are those of the suite `blind-index` in `keyring`. Nothing here does I/O: load the
    keyring first, as the plugin does.

    Args:
        keyring: The keys.
        fold_case: The attributes whose texts are the same in capitals and small letters.
    """

    keyring: Keyring
    fold_case: frozenset[str] = frozenset()

    def token(self, attribute: str, value: Any) -> str:
        """Return the token to store in a search attribute.

        It changes when the key is rotated, so it is not for the code of a workflow: call it in a
        client, or in a local activity.

        Args:
            attribute: The name of the search attribute.
            value: A text, whole number, truth value, bytes, time with a time zone, or a member of
                an enum with such a value.

        Raises:
            ConversionError: The value is of another type, or the name cannot be one.
            KeyNotFoundError: There is no active key of the suite `blind-index`.
            KeyProviderUnavailableError: The keys are not loaded.
        """
        message = self._message(attribute, value)
        return _sign(self.keyring.encryption_key(KeySuite.INDEX), attribute, message)

    def tokens(self, attribute: str, value: Any) -> list[str]:
        """Return all tokens to look for: one for each key there is, the newest key first.

        Raises:
            ConversionError: See `token`.
            KeyProviderUnavailableError: The keys are not loaded.
        """
        message = self._message(attribute, value)
        return [_sign(key, attribute, message) for key in self.keyring.index_keys()]

    def query(self, attribute: str, value: Any) -> str:
        """Return a clause for a list of workflows, such as ``Customer IN ('1f…', '0c…')``.

        Raises:
            ConversionError: See `token`.
            KeyNotFoundError: There is no key of the suite `blind-index`.
            KeyProviderUnavailableError: The keys are not loaded.
        """
        tokens = self.tokens(attribute, value)
        if not tokens:
            self.keyring.encryption_key(KeySuite.INDEX)  # says what is missing
        quoted = ", ".join(f"'{token}'" for token in tokens)
        return f"{attribute} IN ({quoted})"

    def _message(self, attribute: str, value: Any) -> bytes:
        if not _ATTRIBUTE.fullmatch(attribute):
            raise ConversionError(
                "the name of a search attribute with tokens is 1 to 100 letters, digits and _"
            )
        return canonical(value, fold=attribute in self.fold_case)


def _sign(key: Key, attribute: str, message: bytes) -> str:
    # Derived anew each time, in a few µs, so that nothing is left of a key that is withdrawn.
    derived = HKDFExpand(SHA512(), 32, _LABEL + attribute.encode()).derive(key.index_key)
    return hmac.digest(derived, message, "sha256")[:TOKEN_SIZE].hex()


def canonical(value: Any, *, fold: bool = False) -> bytes:
    """Return the one text that stands for a value; see the module's docstring.

    Raises:
        ConversionError: Values of this type have none.
    """
    match value:
        case Enum():
            return canonical(value.value, fold=fold)
        case str():
            return _text(value, fold=fold)
        case bool():
            return b"b1" if value else b"b0"
        case int() if value.bit_length() <= _MAX_BITS:
            return b"i%d" % value
        case bytes():
            return b"y" + value
        case datetime() if value.utcoffset() is not None:
            return b"t%d" % ((value - _EPOCH) // _MICROSECOND)
        case _:
            pass
    raise ConversionError(
        f"a {type(value).__name__} cannot be made a token: it takes a text, a whole number of at "
        f"most {_MAX_BITS} bits, a truth value, bytes, a time with a time zone, or an enum of these"
    )


def _text(value: str, *, fold: bool) -> bytes:
    if fold:
        value = unicodedata.normalize("NFD", value).casefold()
    try:
        return (b"f" if fold else b"s") + unicodedata.normalize("NFC", value).encode()
    except UnicodeEncodeError:
        problem = "a text with half of a surrogate pair cannot be made a token"
    raise ConversionError(problem)  # without the cause, which has the text
