"""A key-encryption key with faults at will."""

from __future__ import annotations

import asyncio
import secrets
import threading

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealwire.errors import ConfigurationError

_NONCE = 12  # bytes


class ScriptedKeyWrapper:
    """A key wrapper that is slow or down when a test says so, and counts its calls.

    It wraps with AES-256-GCM under a key of its own, which is drawn when it is made.

    Args:
        called: Its name.

    Attributes:
        fault: What every call but `name` raises; None while it is up.
        gate: Holds each of those calls until it is set; None lets them pass.
        asked: Set when one of them began, since the last `hold`.
        wraps: How many times `wrap` was called.
        unwraps: What `unwrap` was called with, in order.
        tenants: The tenants of all these calls.
    """

    def __init__(self, called: str = "scripted") -> None:
        self.fault: Exception | None = None
        self.gate: threading.Event | None = None
        self.asked = threading.Event()
        self.wraps = 0
        self.unwraps: list[bytes] = []
        self.tenants: set[str] = set()
        self._name = called
        self._aead = AESGCM(secrets.token_bytes(32))
        self._lock = threading.Lock()

    def hold(self) -> threading.Event:
        """Hold the calls that begin from now on, and return the gate that lets them go on."""
        # A new event each: earlier calls do not count, and a fork of this process may find the old
        # one's lock held by a thread that it lacks.
        self.asked = threading.Event()
        self.gate = threading.Event()
        return self.gate

    async def name(self) -> str:
        """Return the name."""
        return self._name

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`; see `KeyWrapper`."""
        with self._lock:
            self.wraps += 1
        await self._hold(tenant)
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aead.encrypt(nonce, key, tenant.encode())

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Decrypt what `wrap` gave; see `KeyWrapper`."""
        with self._lock:
            self.unwraps.append(wrapped)
        await self._hold(tenant)
        try:
            return self._aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], tenant.encode())
        except (InvalidTag, ValueError):
            raise ConfigurationError("this was wrapped by another key") from None

    async def _hold(self, tenant: str) -> None:
        self.tenants.add(tenant)
        gate = self.gate  # before a test is told, and lets the next calls pass
        self.asked.set()
        if gate is not None:
            await asyncio.to_thread(gate.wait)
        if self.fault is not None:
            raise self.fault
