"""A codec server: the web UI and the command line of Temporal show payloads through it.

::

    codec = CodecChain(CompressionCodec(), EncryptionCodec(keyring, namespace="orders"))
    app = codec_app(
        codec,
        token=BearerToken.from_environment("SEALWIRE_TOKEN"),
        origins=["https://temporal.example.com"],
        namespace="orders",
    )
    serve(app, "127.0.0.1", 8081)

Then `temporal --codec-endpoint http://127.0.0.1:8081 --codec-auth "Bearer $SEALWIRE_TOKEN" …`, or
the same address in the settings of the web UI. `codec_app` returns an ASGI application, which any
ASGI server can run; `serve` and `running` use uvicorn. To fail at start-up instead of at the first
payload, await `keyring.ready()` before.

- `POST …/encode`, `…/decode`: `Payloads` as JSON in, as many out, in the same order. Whatever
  stands before the last part of the path is ignored.
- `POST …/download`: references to external storage in, what they lead to out, decoded; all or
  nothing. 404 without `storage`. `GET /healthz`: whether it is alive.

**Who may ask.** Whoever shows the token may read everything that the codec can read. `X-Namespace`
selects a namespace and authorizes nothing. Web pages may ask only from the listed origins. Without
a token the server listens on loopback alone, and answers only if it is addressed as such, which
keeps out pages that point a name of theirs at 127.0.0.1. The server speaks plain HTTP: on a
network, put a proxy with TLS before it.

**References.** What is in external storage has a reference in the history, in clear. `/decode`
returns what it leads to, if that is quick and not too large; else, and always if the query says
`preserveStorageRefs=true`, the reference itself. Nothing proves who wrote one. With
`handling=strict` it is refused as any other plaintext.

**Errors.** Every error is `{"error": "…"}` with the next step in it. But the UI and the command
line show none of that, so a payload that cannot be decoded comes back as a `json/plain` payload
with `error`, `type` and, where it is known, `keyId`, among the others that can. Programs that must
not take it for a value send `Prefer: handling=strict`: then the request fails as a whole, with the
same entries. Encoding is all or nothing: no payload ever comes back unencrypted. A request that
takes longer than the deadline is given up.

**Log.** One line for each request in the logger `sealwire.server`: method, route, namespace,
number of payloads, status and milliseconds; never a payload, a token or a query.

It needs the extra `sealwire[server]`.
"""

from .app import codec_app
from .auth import BearerToken
from .serve import running, serve

__all__ = ["BearerToken", "codec_app", "running", "serve"]
