"""Connect a command to a server, as its user has set up Temporal's own tools."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from sealwire.config import Config
from sealwire.errors import ConfigurationError

_TIMEOUT: Final = 20.0  # seconds until a server that does not answer is given up
_MAX_REASON: Final = 120  # characters
_SAID: Final = re.compile(r'(?:message|error): "([^"]+)"')
_FIXES: Final = {
    RPCStatusCode.NOT_FOUND: "check --namespace, sealwire's configuration, and TEMPORAL_NAMESPACE",
    RPCStatusCode.PERMISSION_DENIED: "these credentials need permission to read the namespace",
    RPCStatusCode.UNAUTHENTICATED: "check the API key or the client certificate",
    RPCStatusCode.UNAVAILABLE: "it may answer later",
    RPCStatusCode.RESOURCE_EXHAUSTED: "it limits requests: try later",
    RPCStatusCode.DEADLINE_EXCEEDED: "it may answer later",
}


async def connect(
    config: Config,
    namespace: str | None = None,
    *,
    address: str | None = None,
    profile: str | None = None,
) -> Client:
    """Connect without a codec, so that payloads stay as they are stored.

    Args:
        config: Its namespace is taken where none is named.
        namespace: Which namespace. If `config` has none either, it is that of Temporal's own tools:
            of the variable `TEMPORAL_NAMESPACE`, else of their configuration file, else `default`.
        address: Host and port; None for what the variables `TEMPORAL_*` or Temporal's own
            configuration file say.
        profile: A profile of that file.

    Raises:
        ConfigurationError: There is no connection; the message says what to look at.
    """
    try:
        options = ClientConfig.load_client_connect_config(profile)
    except Exception as err:  # noqa: BLE001 - its text may quote a line with an API key
        raise ConfigurationError(_unusable(profile, type(err).__name__)) from None
    target = address or options.get("target_host") or "localhost:7233"
    options["target_host"] = target
    options["namespace"] = namespace or config.namespace or options.get("namespace") or "default"
    problem = ""
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await Client.connect(**options)
    except TimeoutError:
        problem = f"no answer within {_TIMEOUT:g} seconds"
    except (RuntimeError, ValueError) as err:
        problem = _reason(str(err))
    raise ConfigurationError(
        f"cannot connect to the Temporal server at {target}: start it, or name another one with "
        f"--address or TEMPORAL_ADDRESS ({problem})"
    )


def _unusable(profile: str | None, kind: str) -> str:
    """Say why there are no options, and quote nothing of the file."""
    name = profile or os.environ.get("TEMPORAL_PROFILE")
    if name and _lacks(name):
        return (
            f"Temporal's configuration has no profile {name[:100]!r}: add it to temporal.toml, or "
            "name another one with --profile or TEMPORAL_PROFILE"
        )
    return (
        f"the configuration of Temporal's client cannot be used ({kind}): look at the variables "
        "TEMPORAL_* and temporal.toml"
    )


def _lacks(profile: str) -> bool:
    try:
        return profile not in ClientConfig.load().profiles
    except Exception:  # noqa: BLE001 - the file cannot be read at all
        return False


def _reason(text: str) -> str:
    """Return what the SDK's native part says last, of which the rest is the way there."""
    told = _SAID.findall(text)
    return (told[-1] if told else text)[:_MAX_REASON]


@asynccontextmanager
async def explained(client: Client) -> AsyncGenerator[None]:
    """Turn what the server refuses in this block into errors that name the next step.

    Raises:
        ConfigurationError: It refused, or did not answer.
    """
    try:
        yield
    except RPCError as err:
        fix = _FIXES.get(err.status)
        raise ConfigurationError(
            f"the Temporal server at {client.service_client.config.target_host} refuses: "
            + err.message[:300].rstrip(".")
            + (f"; {fix}" if fix else "")
        ) from None
