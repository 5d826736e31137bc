"""Which payloads are encrypted already, in whatever format of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sealwire.payload import ENCODING, Encoding, Payload

from .enveloped import has_enveloped_form
from .interop import has_interop_form
from .sealed import has_sealed_form

_FORMS: Final[Mapping[bytes, Callable[[Payload], bool]]] = {
    Encoding.SEALED: has_sealed_form,
    Encoding.ENVELOPED: has_enveloped_form,
    Encoding.ENCRYPTED: lambda payload: has_interop_form(payload.metadata, payload.data),
}


def is_encrypted(payload: Payload) -> bool:
    """Tell whether a payload has the whole form of an encrypted one, and not its label alone."""
    has_form = _FORMS.get(payload.metadata.get(ENCODING, b""))
    return has_form is not None and has_form(payload)
