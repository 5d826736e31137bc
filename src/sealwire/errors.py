"""Every error that sealwire raises, split by what the caller can do about it.

::

    SealwireError
    ├── ConversionError (TypeError, ValueError)   the value or its hint is wrong: fix the code
    ├── ConfigurationError (ValueError)           the chain, file or policy is wrong: fix the set-up
    ├── PayloadError                              the payload is wrong: do not use it
    │   ├── DecryptError                          not authentic, whatever the cause
    │   ├── ContextMismatchError                  authentic, but sealed for another namespace
    │   ├── UnencryptedPayloadError               plaintext where only sealed payloads are accepted
    │   ├── PayloadTooLargeError                  larger than the configured limit
    │   ├── StoredPayloadError                    external storage has not what was put there
    │   └── UnknownEncodingError                  nothing here reads this encoding
    ├── KeyLookupError                            the key is missing: ask the operator
    │   ├── KeyNotFoundError
    │   ├── KeyDisabledError
    │   ├── KeyDestroyedError
    │   └── KeyProviderUnavailableError           the keys did not come: worth retrying
    │       └── KeyringNotFoundError              there is no keyring of this tenant, so far
    ├── DictionaryNotFoundError                   a dictionary is missing: ask the operator
    ├── CodecUnavailableError                     the codec server did not answer: worth retrying
    └── StorageUnavailableError                   the storage did not answer: worth retrying

In a worker, the text of an exception is sent to the server in clear. So no message contains
plaintext, ciphertext or key material; what a program needs to react is in the attributes.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CodecUnavailableError",
    "ConfigurationError",
    "ContextMismatchError",
    "ConversionError",
    "DecryptError",
    "DictionaryNotFoundError",
    "KeyDestroyedError",
    "KeyDisabledError",
    "KeyLookupError",
    "KeyNotFoundError",
    "KeyProviderUnavailableError",
    "KeyringNotFoundError",
    "PayloadError",
    "PayloadTooLargeError",
    "SealwireError",
    "StorageUnavailableError",
    "StoredPayloadError",
    "UnencryptedPayloadError",
    "UnknownEncodingError",
]


class SealwireError(Exception):
    """Base of all errors of this package.

    Attributes:
        key_id: The key that was asked for, where there is one.
        encoding: The encoding of the payload at hand, where there is one.
        index: The position of the payload in its batch, where it is known.
    """

    def __init__(
        self,
        message: str,
        *,
        key_id: str | None = None,
        encoding: str | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(message)
        self.key_id = key_id
        self.encoding = encoding
        self.index = index


class ConversionError(SealwireError, TypeError, ValueError):
    """A value has no encoding, or a payload does not fit the requested type."""


class ConfigurationError(SealwireError, ValueError):
    """A parameter, a chain of codecs or a configuration file is wrong."""


class PayloadError(SealwireError):
    """A payload is malformed or not acceptable."""


class DecryptError(PayloadError):
    """A payload is not authentic.

    The message is always the same: telling a wrong key from a changed bit would help an attacker
    and nobody else.
    """

    def __init__(
        self,
        *,
        key_id: str | None = None,
        encoding: str | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(
            "the payload is not authentic: it was changed, or not sealed with this key",
            key_id=key_id,
            encoding=encoding,
            index=index,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is copied, and sent to another process, by position; here nothing has one.
        return type(self), (), self.__dict__


class ContextMismatchError(PayloadError):
    """A payload is authentic, but was sealed for a context that the policy does not accept."""


class UnencryptedPayloadError(PayloadError):
    """A payload has no encryption layer, and the policy accepts only sealed payloads."""


class PayloadTooLargeError(PayloadError):
    """A payload, once decompressed, is larger than the limits allow."""


class StoredPayloadError(PayloadError):
    """A payload in external storage is missing or was changed, or a reference leads elsewhere."""


class UnknownEncodingError(PayloadError):
    """No converter or codec here reads the encoding of a payload."""


class KeyLookupError(SealwireError):
    """A key cannot be used."""


class KeyNotFoundError(KeyLookupError):
    """No provider knows the key, or there is no key to encrypt with."""


class KeyDisabledError(KeyLookupError):
    """The key was disabled by an administrator, who can enable it again."""


class KeyDestroyedError(KeyLookupError):
    """The key was destroyed for good; what it sealed cannot be read again."""


class KeyProviderUnavailableError(KeyLookupError):
    """The source of the keys did not answer, and the cached keys are too old to go on."""


class KeyringNotFoundError(KeyProviderUnavailableError):
    """The place of the keyrings was asked, and has none of this tenant; one may be made later."""


class DictionaryNotFoundError(SealwireError):
    """No source has the dictionary that a payload was compressed with; the payload is good.

    Attributes:
        dictionary_id: The dictionary that was asked for, where it is known.
    """

    def __init__(
        self,
        message: str,
        *,
        dictionary_id: int | None = None,
        encoding: str | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(message, encoding=encoding, index=index)
        self.dictionary_id = dictionary_id


class CodecUnavailableError(SealwireError):
    """A codec server did not answer, or could not work; the same call may succeed later."""


class StorageUnavailableError(SealwireError):
    """External storage did not answer; the same call may succeed later."""
