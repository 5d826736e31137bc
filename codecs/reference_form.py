"""How the SDKs write references to external storage; the drivers' names in them are elsewhere."""

from __future__ import annotations

from typing import Final

from sealwire.payload import Payload

# The message in `messageType`, and the encoding that the SDK's first releases wrote.
REFERENCE_MESSAGE: Final = b"temporal.api.sdk.v1.ExternalStorageReference"
EARLY_REFERENCE: Final = b"json/external-storage-reference"
# An entry of the metadata of references that a codec has encoded.
REFERENCE_MARKER: Final = "__temporal_external_storage_reference"


def unmarked(reference: Payload) -> Payload:
    """Return a reference as the codec has encoded it, without what the SDK has added."""
    encoded = Payload()
    encoded.CopyFrom(reference)
    encoded.metadata.pop(REFERENCE_MARKER, None)
    del encoded.external_payloads[:]
    return encoded
