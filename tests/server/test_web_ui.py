"""Temporal's Web UI, in a real browser, with the codec server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect
from temporalio.client import Client

from sealwire.temporal import SealwirePlugin
from sealwire.testing import DevServer, free_port

NAME: Final = "marker in the clear"
LARGE: Final = uuid.uuid4().hex * 100  # more than the threshold below, also compressed
CONFIG: Final = """
namespace = "default"

[[codec]]
type = "encryption"

[storage]
folder = "payloads"
threshold = 2000

[server]
origin = "{origin}"
"""
HERE: Final = "http://127.0.0.1:"
COMMAND: Final = (sys.executable, "-m", "sealwire")

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Stage:
    """What runs: a Temporal server with its Web UI, and the codec server that it asks."""

    address: str
    web_ui: str
    codec: str
    config: Path

    async def start(self) -> str:
        """Start a workflow that no worker runs, and return the page of the Web UI about it."""
        client = await Client.connect(self.address, plugins=[SealwirePlugin(self.config)])
        name = f"test-{uuid.uuid4()}"
        await client.start_workflow("Greet", args=[NAME, LARGE], id=name, task_queue=name)
        return f"{self.web_ui}/namespaces/default/workflows/{name}"


@contextmanager
def serving(folder: Path) -> Generator[str]:
    """Run `sealwire serve`, as the how-to has it, on any port."""
    with subprocess.Popen(
        [*COMMAND, "serve", "--no-auth", "--port", "0"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            yield re.findall(r"http://127\.0\.0\.1:\d+", process.stderr.readline())[0]
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    folder, port = tmp_path_factory.mktemp("web-ui"), free_port()
    web_ui = f"http://127.0.0.1:{port}"
    subprocess.run([*COMMAND, "keys", "init"], cwd=folder, check=True, capture_output=True)
    (folder / "sealwire.toml").write_text(CONFIG.format(origin=web_ui), encoding="utf-8")
    with (
        serving(folder) as codec,
        DevServer(ui_port=port, codec_endpoint=codec) as server,
    ):
        yield Stage(server.address, web_ui, codec, folder / "sealwire.toml")


@pytest_asyncio.fixture(loop_scope="module")
async def page(require_part: Callable[[str], Path]) -> AsyncGenerator[Page]:
    """A page of a browser that reaches nothing but this machine."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=require_part("chromium"))
        try:
            page = await browser.new_page()
            await page.route(lambda url: not url.startswith(HERE), lambda route: route.abort())
            yield page
        finally:
            await browser.close()


async def test_it_shows_what_was_sealed(stage: Stage, page: Page) -> None:
    """The arguments of a workflow are readable, and a large one is a reference to its storage."""
    await page.goto(await stage.start())
    await expect(page.get_by_text(NAME)).to_be_visible(timeout=20_000)
    await expect(page.get_by_text("sealwire.folder")).to_be_visible()
    assert LARGE not in await page.content()


async def test_it_saves_a_large_payload(stage: Stage, page: Page) -> None:
    """The button beside the reference saves what it leads to, decoded."""
    await page.goto(await stage.start())
    button = page.get_by_role("button", name=re.compile(r"\d KB$"))
    async with page.expect_download() as saved:
        await button.click()
    assert LARGE == json.loads((await (await saved.value).path()).read_bytes())


async def test_pages_of_other_origins_read_nothing(stage: Stage, page: Page) -> None:
    """Another page in the same browser is refused before anything is decoded."""
    ask = """async url => {
        try {
            const body = JSON.stringify({payloads: [{metadata: {encoding: 'anNvbi9wbGFpbg=='}}]})
            const headers = {'Content-Type': 'application/json', 'X-Namespace': 'default'}
            return (await fetch(url, {method: 'POST', headers, body})).status
        } catch (error) { return error.name }
    }"""
    await page.goto(stage.web_ui)
    assert 200 == await page.evaluate(ask, f"{stage.codec}/decode")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        await page.goto(f"{HERE}{other.server_port}")  # it answers, if only with an error
        assert "TypeError" == await page.evaluate(ask, f"{stage.codec}/decode")
        other.shutdown()
