from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import httpx2
import pytest

from sealwire.codecs import CodecChain
from sealwire.errors import ConfigurationError
from sealwire.payload import Payload
from sealwire.server import BearerToken, codec_app, running
from sealwire.wire import format_payloads, parse_payloads

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUTES = ["/encode", "/decode", "/download", "/healthz"]


async def no_body() -> AsyncGenerator[bytes]:
    """The body of a client that states no length."""
    for _ in range(8):
        yield b" " * 1000


@pytest.mark.parametrize(
    "prefix", ["/", "//", "/codec/", "/a/b/c/", "/default//", "/encode/x/", "/%20/"]
)
async def test_the_last_segment_of_the_path_counts(
    client: httpx2.AsyncClient, url: str, prefix: str
) -> None:
    """Whatever stands before the last segment, and the query, change nothing."""
    address = f"{url}{prefix}decode?preserveStorageRefs=true"
    response = await client.post(address, content="{}")
    assert (200, b"{}") == (response.status_code, response.content)


async def test_an_empty_list_is_answered_with_an_empty_object(client: httpx2.AsyncClient) -> None:
    """A signal without arguments sends `{}`, and gets `{}`."""
    response = await client.post("/encode", content="{}")
    assert (200, b"{}") == (response.status_code, response.content)
    assert "application/json" == response.headers["content-type"]


async def test_download_is_not_there(client: httpx2.AsyncClient) -> None:
    """Without payload storage the UI gets the 404 for which it has a text."""
    response = await client.post("/download", content="{}")
    assert 404 == response.status_code
    assert "storage" in response.json()["error"]


async def test_health_needs_no_token(url: str) -> None:
    """A load balancer can ask whether the server is alive."""
    async with httpx2.AsyncClient() as anybody:
        response = await anybody.get(f"{url}/healthz")
    assert (200, {"status": "ok"}) == (response.status_code, response.json())


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/decode", 405, "POST, OPTIONS"),
        ("PUT", "/encode", 405, "POST, OPTIONS"),
        ("POST", "/healthz", 405, "GET, OPTIONS"),
        ("POST", "/", 404, None),
        ("POST", "/decode/", 404, None),
        ("POST", "/xdecode", 404, None),
        ("POST", "/decode%2Fx", 404, None),
    ],
)
async def test_other_methods_and_paths_are_refused(
    client: httpx2.AsyncClient, method: str, path: str, status: int, allow: str | None
) -> None:
    """Only POST to an operation does something."""
    response = await client.request(method, path, content="{}")
    assert (status, allow) == (response.status_code, response.headers.get("allow"))
    assert response.json()["error"]


@pytest.mark.parametrize("path", ["/encode", "/decode"])
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong-wrong-wrong-wrong", "correct-horse-battery"]
)
async def test_a_client_without_the_token_is_refused(
    url: str, path: str, header: str | None
) -> None:
    """Both operations need the token, and the refusal says how to send it."""
    headers = {"Content-Type": "application/json"}
    if header is not None:
        headers["Authorization"] = header
    async with httpx2.AsyncClient(headers=headers) as stranger:
        response = await stranger.post(url + path, content="{}")
    assert (401, 'Bearer realm="sealwire"') == (
        response.status_code,
        response.headers["www-authenticate"],
    )
    assert "--codec-auth" in response.json()["error"]


async def test_the_scheme_may_be_written_in_other_case(
    client: httpx2.AsyncClient, token: str
) -> None:
    """`bearer` is as good as `Bearer`."""
    response = await client.post(
        "/decode", content="{}", headers={"Authorization": f"bearer {token}"}
    )
    assert 200 == response.status_code


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
async def test_the_types_of_a_form_are_refused(client: httpx2.AsyncClient, media_type: str) -> None:
    """What a page can send without a preflight is not read."""
    response = await client.post("/encode", content="{}", headers={"Content-Type": media_type})
    assert 415 == response.status_code


async def test_parameters_of_the_content_type_are_ignored(client: httpx2.AsyncClient) -> None:
    """JSON with a charset is JSON."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert 200 == (await client.post("/encode", content="{}", headers=headers)).status_code


@pytest.mark.parametrize("path", ["/encode", "/decode"])
@pytest.mark.parametrize("body", ["", "[]", '{"payloads": 1}', '{"payloads":[{"data":"!"}]}'])
async def test_a_damaged_body_is_a_bad_request(
    client: httpx2.AsyncClient, path: str, body: str
) -> None:
    """A body that is no message is 400 and never an empty result."""
    response = await client.post(path, content=body)
    assert 400 == response.status_code
    assert response.json()["error"].startswith("the body")


async def test_a_large_body_is_refused_by_counting(codec: CodecChain) -> None:
    """The limit holds for a body that states no length."""
    app = codec_app(codec, token=None, max_body=5000)
    headers = {"Content-Type": "application/json"}
    async with running(app) as url, httpx2.AsyncClient(headers=headers) as client:
        response = await client.post(f"{url}/decode", content=no_body())
        assert "content-length" not in response.request.headers
        assert 413 == response.status_code
        assert "5000 bytes" in response.json()["error"]
        full = b"{" + b" " * 4998 + b"}"
        assert 413 == (await client.post(f"{url}/decode", content=full + b" ")).status_code
        assert 200 == (await client.post(f"{url}/decode", content=full)).status_code


async def test_a_body_that_ends_too_early_is_not_used(
    codec: CodecChain, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that goes away in the middle of its body is no failure of the server."""
    caplog.set_level(logging.INFO, "sealwire.server")
    async with running(codec_app(codec, token=None)) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(url).port)
        writer.write(b"POST /encode HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n")
        writer.write(b"Content-Type: application/json\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()
        async with httpx2.AsyncClient() as client:  # accepted after the connection before it
            await client.get(f"{url}/healthz")
    lines = [record.getMessage() for record in caplog.records]
    [line] = [line for line in lines if "encode" in line]
    assert line.startswith("POST encode namespace=None payloads=0 status=400 ")


@pytest.mark.parametrize("path", ["/encode", "/decode", "/download", "/codec//decode"])
@pytest.mark.parametrize("origin", ["http://127.0.0.1:8233", "http://localhost:8233"])
async def test_a_preflight_names_the_exact_origin(url: str, path: str, origin: str) -> None:
    """Both names of this machine are allowed when one is configured, and neither as `*`."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with httpx2.AsyncClient() as browser:
        response = await browser.options(url + path, headers=headers)
    assert 204 == response.status_code
    expected = {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": (
            "content-type, x-namespace, authorization, authorization-extras"
        ),
        "access-control-max-age": "600",
        "vary": "Origin",
    }
    assert expected == {name: response.headers.get(name) for name in expected}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/decode", {}, 200),
        ("/healthz", {}, 405),
        ("/download", {}, 404),
        ("/nothing", {}, 404),
        ("/decode", {"Authorization": ""}, 401),
        ("/decode", {"X-Namespace": "other"}, 403),
        ("/decode", {"Content-Type": "text/plain"}, 415),
    ],
)
async def test_every_answer_can_be_read_by_the_page(
    client: httpx2.AsyncClient, page: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Errors carry the CORS headers too: without them a browser shows no status."""
    response = await client.post(path, content="{}", headers={"Origin": page, **headers})
    assert (status, page, "true", "Origin") == (
        response.status_code,
        response.headers["access-control-allow-origin"],
        response.headers["access-control-allow-credentials"],
        response.headers["vary"],
    )


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "GET"])
@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:82330",
        "https://127.0.0.1:8233",
        "http://localhost:8233.evil.example",
    ],
)
async def test_a_foreign_page_is_refused(
    client: httpx2.AsyncClient, method: str, path: str, origin: str
) -> None:
    """Another origin gets 403 and no permission to read even that."""
    response = await client.request(method, path, content="{}", headers={"Origin": origin})
    assert 403 == response.status_code
    assert "`origin` in [server]" in response.json()["error"]
    assert "access-control-allow-origin" not in response.headers
    assert "Origin" == response.headers["vary"]


async def test_decoded_payloads_are_not_cached(client: httpx2.AsyncClient) -> None:
    """No cache on the way keeps an answer."""
    response = await client.post("/decode", content="{}")
    assert "no-store" == response.headers["cache-control"]


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("http://127.0.0.1:8233", "http://localhost:8233"),
        ("http://localhost:8233", "http://127.0.0.1:8233"),
        ("http://localhost:8233/", "http://localhost:8233"),
        ("HTTPS://Temporal.Example.com:443", "https://temporal.example.com"),
        ("http://[::1]:8233", "http://[::1]:8233"),
    ],
)
async def test_origins_are_written_as_browsers_write_them(
    codec: CodecChain, configured: str, sent: str
) -> None:
    """Case, the default port and a final slash do not matter in the configuration."""
    app = codec_app(codec, token=None, origins=[configured])
    async with running(app) as url, httpx2.AsyncClient() as browser:
        response = await browser.options(f"{url}/decode", headers={"Origin": sent})
    assert sent == response.headers.get("access-control-allow-origin")


@pytest.mark.parametrize(
    "origin",
    ["*", "", "null", "localhost:8233", "http://", "http://*.example.com", "http://a/b", "ftp://a"],
)
async def test_what_is_no_origin_is_refused_at_start_up(codec: CodecChain, origin: str) -> None:
    """An origin is a scheme, a host and a port, and never a pattern."""
    with pytest.raises(ConfigurationError, match="scheme, host and port"):
        codec_app(codec, token=None, origins=[origin])


async def test_without_a_token_only_loopback_names_are_answered(codec: CodecChain) -> None:
    """A page whose own name points at 127.0.0.1 sends that name as Host, and is refused."""
    body = {"Content-Type": "application/json"}
    app = codec_app(codec, token=None)
    async with running(app) as url, httpx2.AsyncClient(headers=body) as client:
        port = httpx2.URL(url).port
        for host in ("localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", "[::1]:8081"):
            response = await client.post(f"{url}/decode", content="{}", headers={"Host": host})
            assert (host, 200) == (host, response.status_code)
        for host in ("evil.example", f"localhost.evil.example:{port}", "10.0.0.1", "[::", "", "0"):
            response = await client.post(f"{url}/decode", content="{}", headers={"Host": host})
            assert (host, 403) == (host, response.status_code)


async def test_with_a_token_any_name_is_answered(client: httpx2.AsyncClient) -> None:
    """Behind a proxy the server has whatever name, and the token protects it."""
    response = await client.post("/decode", content="{}", headers={"Host": "codec.example.com"})
    assert 200 == response.status_code


@pytest.mark.parametrize("options", [{"max_body": 0}, {"deadline": 0.0}, {"deadline": -1.0}])
async def test_limits_are_positive(codec: CodecChain, options: dict[str, float]) -> None:
    """A limit that lets nothing pass is a configuration error."""
    with pytest.raises(ConfigurationError):
        codec_app(codec, token=None, **options)  # type: ignore[arg-type]


async def test_logs_one_line_without_secrets(
    client: httpx2.AsyncClient, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells what was done for whom, and holds no token, payload or query."""
    sealed = await client.post(
        "/encode", content='{"payloads":[{"metadata":{"encoding":"anNvbg=="},"data":"c2VjcmV0"}]}'
    )
    with caplog.at_level(logging.INFO, "sealwire.server"):
        await client.post("/x/decode?token=query-secret", content=sealed.content)
        await client.post("/query-secret", content="{}")
    [done, refused] = [record.getMessage() for record in caplog.records]
    assert done.startswith("POST decode namespace=default payloads=1 status=200 ms=")
    assert refused.startswith("POST other namespace=None payloads=0 status=404 ms=")
    assert not [text for text in (token, "secret", "c2VjcmV0") if text in caplog.text]


async def test_payloads_come_back_in_order(client: httpx2.AsyncClient) -> None:
    """A batch of many payloads is answered with as many, in the same order."""
    batch = [Payload(metadata={"encoding": b"json/plain"}, data=b"%d" % n) for n in range(100)]
    encoded = await client.post("/encode", content=format_payloads(batch))
    decoded = await client.post("/decode", content=encoded.content)
    assert batch == parse_payloads(decoded.content)
    sealed = parse_payloads(encoded.content)
    assert [b"k1"] * 100 == [payload.metadata.get("encryption-key-id") for payload in sealed]


async def test_a_token_is_only_as_good_as_its_server(codec: CodecChain, token: str) -> None:
    """The token of one server opens no other."""
    app = codec_app(codec, token=BearerToken("another-token-than-that"))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    async with running(app) as url, httpx2.AsyncClient(headers=headers) as client:
        assert 401 == (await client.post(f"{url}/decode", content="{}")).status_code
