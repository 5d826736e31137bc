"""Hypothesis strategies for values and payloads; the only module here that needs `hypothesis`."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from sealwire.payload import ENCODING, Payload

_INT64: Final = st.integers(-(2**63), 2**63 - 1)


def json_values(*, max_leaves: int = 20) -> st.SearchStrategy[Any]:
    """Generate what every encoding but `binary/*` of single values gives back unchanged.

    None, booleans, integers of 64 bits, finite floats, text without lone surrogates, and lists and
    dicts with text keys of these.

    Args:
        max_leaves: How many values that are no container one value has, at most.
    """
    leaves = (
        st.none()
        | st.booleans()
        | _INT64
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20)
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
        ),
        max_leaves=max_leaves,
    )


def payloads(*, max_size: int = 200) -> st.SearchStrategy[Payload]:
    """Generate payloads of any metadata, data and external payloads; most have an encoding.

    Args:
        max_size: The size of the data, at most, in bytes.
    """
    return st.builds(
        _payload,
        st.none() | st.sampled_from([b"json/plain", b"binary/plain", b"binary/null"]) | _blobs(30),
        st.dictionaries(st.text(max_size=20), _blobs(30), max_size=4),
        _blobs(max_size),
        st.lists(_INT64, max_size=3),
    )


def _blobs(max_size: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=max_size)


def _payload(
    encoding: bytes | None, metadata: dict[str, bytes], data: bytes, sizes: list[int]
) -> Payload:
    payload = Payload(metadata=metadata, data=data)
    if encoding is not None:
        payload.metadata[ENCODING] = encoding
    for size in sizes:
        payload.external_payloads.add(size_bytes=size)
    return payload
