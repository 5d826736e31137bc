"""What codec servers and their clients exchange: `Payloads` as proto3 JSON.

::

    {"payloads": [{"metadata": {"encoding": "<base64>"},
                   "data": "<base64>",
                   "externalPayloads": [{"sizeBytes": "262145"}]}]}

Every part may be absent, and an empty list is `{}`. Parsing follows the rules for parsers: base64
of either alphabet, with or without padding; null for a field that is absent; a 64-bit number as
text or as a number; the names above, or those of the proto, as in `external_payloads`. It is strict
in the rest, because a lenient parser would turn a damaged request into a good one without payloads.
What is written is what Go's strict parser accepts.

A program that must not take the description of an error for a value asks for `STRICT`.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from sealwire.errors import PayloadError
from sealwire.payload import Payload

# RFC 7240, 4.4. In `Prefer`: fail as a whole instead of answering with an error in the place of a
# payload. In `Preference-Applied`: that is what was done.
STRICT: Final = "handling=strict"

_T = TypeVar("_T")
_Int64Text = Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,19}\\Z")]


class _DetailsIn(msgspec.Struct, forbid_unknown_fields=True):
    sizeBytes: int | _Int64Text | UnsetType | None = UNSET  # noqa: N815 - the name on the wire
    size_bytes: int | _Int64Text | UnsetType | None = UNSET


class _PayloadIn(msgspec.Struct, forbid_unknown_fields=True):
    metadata: dict[str, str] | None = None
    data: str | None = None
    externalPayloads: list[_DetailsIn] | UnsetType | None = UNSET  # noqa: N815 - the name on the wire
    external_payloads: list[_DetailsIn] | UnsetType | None = UNSET


class _PayloadsIn(msgspec.Struct, forbid_unknown_fields=True):
    payloads: list[_PayloadIn] | None = None


class _DetailsOut(msgspec.Struct):
    sizeBytes: str  # noqa: N815 - the name on the wire


class _PayloadOut(msgspec.Struct, omit_defaults=True):
    metadata: dict[str, bytes] = {}
    data: bytes = b""
    externalPayloads: list[_DetailsOut] = []  # noqa: N815 - the name on the wire


class _PayloadsOut(msgspec.Struct, omit_defaults=True):
    payloads: list[_PayloadOut] = []


_decoder: Final = msgspec.json.Decoder(_PayloadsIn)
_encoder: Final = msgspec.json.Encoder()


def parse_payloads(body: bytes) -> list[Payload]:
    """Read a body.

    Raises:
        PayloadError: It is no JSON, or not of this form.
    """
    try:
        return [_payload(item) for item in _decoder.decode(body).payloads or ()]
    except binascii.Error:
        raise PayloadError("the body has a string that is not valid base64") from None
    except UnicodeError:
        raise PayloadError("the body is not valid UTF-8") from None
    except ValueError as err:
        raise PayloadError(f"the body is not a Payloads message in JSON: {err}") from None


def format_payloads(payloads: Sequence[Payload]) -> bytes:
    """Write a body."""
    return _encoder.encode(_PayloadsOut([_structure(payload) for payload in payloads]))


def _payload(item: _PayloadIn) -> Payload:
    payload = Payload()
    if item.metadata:
        metadata = payload.metadata
        for name, text in item.metadata.items():
            metadata[name] = _bytes(text)
    if item.data:
        payload.data = _bytes(item.data)
    for details in _either(item.externalPayloads, item.external_payloads) or ():
        size = _either(details.sizeBytes, details.size_bytes)
        payload.external_payloads.add(size_bytes=int(size or 0))
    return payload


def _either(one: _T | UnsetType, other: _T | UnsetType) -> _T | None:
    """Return what stands under one of a field's two names."""
    if one is UNSET:
        return None if other is UNSET else other
    if other is not UNSET:
        raise PayloadError("the body has a field under both of its names")
    return one


def _bytes(text: str) -> bytes:
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)


def _structure(payload: Payload) -> _PayloadOut:
    return _PayloadOut(
        dict(payload.metadata),
        payload.data,
        [_DetailsOut(str(details.size_bytes)) for details in payload.external_payloads],
    )
