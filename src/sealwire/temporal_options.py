"""The section `[temporal]` of `sealwire.toml`: what the plugin does beside sealing payloads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sealwire.codecs import CodecChain, ThreadedCodec, Threads
from sealwire.codecs.threaded import DEFAULT_SIZE
from sealwire.errors import ConfigurationError


@dataclass(frozen=True)
class TemporalOptions:
    """The section `[temporal]`; it changes nothing for programs without Temporal.

    Args:
        headers: Whose headers pass through the chain: nobody's, those that workflows write, or
            all, so those of clients and activities too. A `header_codec_behavior` in code wins,
            unless it is `NO_CODEC`, which is the SDK's default.
        failures: What of a failure is encoded beside its details: nothing, message and stack
            trace, or these and the type.
        thread_size: From how many bytes on payloads are compressed in a thread, see
            `ThreadedCodec`; 0 for never.
        fold_case: The search attributes in which tokens of texts are the same in capitals and small
            letters; see `BlindIndex`.

    Raises:
        ConfigurationError: `thread_size` is negative.
    """

    headers: Literal["none", "workflow", "all"] = "none"
    failures: Literal["clear", "encode", "encode-type"] = "encode"
    thread_size: int = DEFAULT_SIZE
    fold_case: frozenset[str] = frozenset()
    _threads: Threads = field(default_factory=Threads, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.thread_size < 0:
            raise ConfigurationError("thread_size must be 0 or more")

    def threaded(self, chain: CodecChain) -> CodecChain | ThreadedCodec:
        """Return `chain`, with its large payloads in threads that all chains here share."""
        if not self.thread_size:
            return chain
        return ThreadedCodec(chain, self.thread_size, self._threads)

    def close(self) -> None:
        """Let the threads end; they start again when there is work."""
        self._threads.close()
