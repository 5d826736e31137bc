"""Seal typed values and open them again, without Temporal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec
from sealwire.converter import DataConverter
from sealwire.keys import Key, Keyring, StaticKeyProvider


@dataclass
class Invoice:
    """What an invoice says."""

    customer: str
    due: date
    lines: list[tuple[str, float]]


def main() -> None:
    """Seal an invoice, show what would be stored, and read it back as an `Invoice`."""
    keyring = Keyring(StaticKeyProvider(Key.generate("example-1")))
    converter = DataConverter(
        codec=CodecChain(CompressionCodec(), EncryptionCodec(keyring, namespace="invoices"))
    )
    invoice = Invoice("Ada Lovelace", date(2026, 12, 1), [("punched cards", 12.5)] * 20)

    payloads = converter.encode_sync([invoice])
    print(f"stored: {len(payloads[0].data)} bytes, {payloads[0].data[:12].hex()}…")

    (read,) = converter.decode_sync(payloads, [Invoice])
    print(f"read:   {read.customer}, due {read.due}, {len(read.lines)} lines")


if __name__ == "__main__":
    main()
