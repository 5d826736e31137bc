"""The secret that a client shows: `Authorization: Bearer <token>` (RFC 6750)."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from sealwire.errors import ConfigurationError
from sealwire.keys.files import read_private

MIN_TOKEN: Final = 16  # characters; 96 bits if they are random base64
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1: b64token


@dataclass(frozen=True, init=False)
class BearerToken:
    """One token, of which only the hash is kept, so that nothing can show it.

    Args:
        value: At least 16 letters, digits or `-._~+/`, best random:
            `python -c "import secrets; print(secrets.token_urlsafe(32))"`.

    Raises:
        ConfigurationError: It is too short, or cannot be sent in a header.
    """

    _digest: bytes = field(repr=False)

    def __init__(self, value: str) -> None:
        if len(value) < MIN_TOKEN:
            raise ConfigurationError(
                f"the bearer token has {len(value)} characters; at least {MIN_TOKEN} are needed"
            )
        if not _TOKEN.fullmatch(value):
            raise ConfigurationError(
                "a bearer token consists of A-Z a-z 0-9 - . _ ~ + / and may end in ="
            )
        object.__setattr__(self, "_digest", _hash(value))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read the token from a file of its own, which no other user may access.

        Raises:
            ConfigurationError: There is no such file, others can access it, or its content is no
                token.
        """
        try:
            data = read_private(path)
        except FileNotFoundError:
            raise ConfigurationError(f"the token file {path} does not exist") from None
        # Bytes that are not ASCII become a character that no token has.
        return cls(data.decode("ascii", "replace").strip())

    @classmethod
    def from_environment(cls, name: str) -> Self:
        """Read the token from an environment variable.

        Raises:
            ConfigurationError: The variable is not set, or its content is no token.
        """
        value = os.environ.get(name)
        if value is None:
            raise ConfigurationError(f"the environment variable {name} is not set")
        return cls(value.strip())

    def accepts(self, authorization: str | None) -> bool:
        """Tell whether the value of an `Authorization` header shows this token."""
        scheme, _, value = (authorization or "").partition(" ")
        # The hash hides the length as well, and takes whatever characters a client sends.
        matches = hmac.compare_digest(self._digest, _hash(value.strip()))
        return matches and scheme.lower() == "bearer"


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
