"""The documentation says what the code does: links, configuration, errors and programs."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from sealwire.codecs import CompressionRule
from sealwire.config import (
    CompressionOptions,
    ConverterOptions,
    EncryptionOptions,
    EnvelopeOptions,
    KeyringOptions,
    RemoteOptions,
    ServerOptions,
    StorageOptions,
    TemporalOptions,
    TenantOptions,
    load_config,
)
from sealwire.errors import ConfigurationError
from sealwire.keys import LocalKeyWrapper

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(DOCS.rglob("*.md"))
LINKED: Final = [
    *PAGES,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
]
SECTIONS: Final[Mapping[str, type[Any]]] = {
    "## `[keyring]`": KeyringOptions,
    "## `[keyring.tenants]`": TenantOptions,
    "## `[converter]`": ConverterOptions,
    '### `type = "compression"`': CompressionOptions,
    "#### `[[codec.rules]]`": CompressionRule,
    '### `type = "encryption"`': EncryptionOptions,
    '### `type = "envelope"`': EnvelopeOptions,
    '### `type = "remote"`': RemoteOptions,
    "## `[server]`": ServerOptions,
    "## `[storage]`": StorageOptions,
    "## `[temporal]`": TemporalOptions,
}

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKED: Final = re.compile(r"^<!-- (.+?) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(language: str, *pages: Path) -> Iterator[Block]:
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for found in _FENCE.finditer(text):
            if found[1] == language:
                yield Block(page, text.count("\n", 0, found.start()) + 2, found[2])


def marked(page: Path) -> dict[str, str]:
    """Blocks that follow a comment, by the text of the comment."""
    return {found[1]: found[2] for found in _MARKED.finditer(page.read_text(encoding="utf-8"))}


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in kept}


def broken_links(page: Path) -> list[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    broken: list[str] = []
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def program_of(page: Path) -> str:
    """The Python blocks of a page, each at its line, so that a traceback shows where it is."""
    program = ""
    for block in blocks("python", page):
        program += "\n" * (block.line - 1 - program.count("\n")) + block.text
    return program


def section(text: str, heading: str) -> str:
    """What follows `heading`, up to the next heading."""
    _, _, rest = text.partition(f"\n{heading}\n")
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def options() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    for heading, cls in SECTIONS.items():
        for item in dataclasses.fields(cls):
            if item.init and not item.name.startswith("_"):
                yield heading, item


def as_toml(item: dataclasses.Field[Any]) -> str:
    """The default of an option as the documentation writes it; empty for none."""
    factory = item.default_factory
    value = item.default if factory is dataclasses.MISSING else factory()
    match value:
        case None:
            return ""
        case dataclasses.MISSING:
            return "required"
        case bool():
            return f"`{value}`".lower()
        case int() | float():
            return f"`{value:.0f}`"
        case str() | Path():
            return f'`"{value}"`'
        case _:
            return "`{}`" if isinstance(value, dict) else "`[]`"


@contextmanager
def working_in(folder: Path) -> Generator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that exists, and a heading in it."""
    assert [] == broken_links(page)


def test_every_page_is_in_the_index() -> None:
    """The index links to each page of the documentation."""
    index = DOCS / "index.md"
    links = {(DOCS / link).resolve() for link in _LINK.findall(index.read_text(encoding="utf-8"))}
    assert set(PAGES) - {index} == links


@pytest.mark.parametrize("block", list(blocks("toml", *PAGES)), ids=str)
def test_configuration_examples_are_accepted(block: Block, tmp_path: Path) -> None:
    """Every TOML block is a complete and valid sealwire.toml."""
    file = tmp_path / "sealwire.toml"
    file.write_text(block.text, encoding="utf-8")
    config = load_config(file)
    assert tmp_path / "keyring.json" == config.keyring.path


@pytest.mark.parametrize(
    ("heading", "item"), list(options()), ids=lambda value: getattr(value, "name", "")
)
def test_every_key_is_documented_with_its_default(
    heading: str, item: dataclasses.Field[Any]
) -> None:
    """Each key has a row in the table of its section, and the row shows the default."""
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    [row] = [
        line
        for line in section(text, heading).splitlines()
        if line.startswith(f"| `{item.name}` |")
    ]
    assert as_toml(item) in row


def test_the_tables_of_keys_name_no_other_key() -> None:
    """A key that was removed from the code is not left in the documentation."""
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for heading in SECTIONS:
        named = re.findall(r"^\| `(\w+)` \|", section(text, heading), re.MULTILINE)
        assert [item.name for place, item in options() if place == heading] == named


def test_the_errors_of_a_wrong_file_are_the_documented_ones(tmp_path: Path) -> None:
    """The wrong file in the documentation gives, word for word, the errors beside it."""
    example = marked(DOCS / "configuration.md")
    (tmp_path / "sealwire.toml").write_text(example["wrong file"], encoding="utf-8")
    with working_in(tmp_path), pytest.raises(ConfigurationError) as caught:
        load_config()
    assert example["its errors"] == f"{caught.value}\n"


@pytest.mark.parametrize("block", list(blocks("python", *PAGES)), ids=str)
def test_python_blocks_compile(block: Block) -> None:
    """No Python block has a syntax error."""
    assert compile(block.text, str(block), "exec")


@pytest.mark.parametrize(
    "name",
    [
        "how-to/arrays-and-tables.md",
        "how-to/custom-types.md",
        "how-to/migrate-from-plaintext.md",
        "how-to/observe.md",
        "how-to/search-sealed-values.md",
        "how-to/share-with-other-sdks.md",
        "how-to/use-without-temporal.md",
        "reference/what-becomes-what.md",
    ],
)
def test_python_blocks_of_a_page_run_in_order(name: str, tmp_path: Path) -> None:
    """The blocks of a page form one program, which runs beside a fresh keyring."""
    (tmp_path / "sealwire.toml").write_text('namespace = "orders"\n', encoding="utf-8")
    with working_in(tmp_path):
        config = load_config()
        LocalKeyWrapper(config.keyring.key_file).create()
        asyncio.run(config.admin.create())
        program = tmp_path / "program.py"
        program.write_text(f"{program_of(DOCS / name)}\nat_its_end = True\n", encoding="utf-8")
        names = runpy.run_path(str(program), run_name="documented")
    assert names["at_its_end"]


def tutorial_run(folder: Path, *arguments: str) -> str:
    """Run a command of the tutorial; only its output counts.

    The SDK's native part may crash while the interpreter winds down, so scripts that have printed
    what they should may exit with any code.
    """
    environment = {"PYTHONUNBUFFERED": "1", "HOME": str(folder), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


@contextmanager
def tutorial_worker(folder: Path) -> Generator[None]:
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "worker.py"], cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            worker.kill()
            worker.wait()


@pytest.mark.server
def test_the_tutorial_works(temporal_server: str, tmp_path: Path) -> None:
    """What the tutorial says is what a reader gets: sealed payloads, and a second key."""
    for comment, code in marked(DOCS / "tutorial.md").items():
        file = tmp_path / comment.removeprefix("file: ")
        file.write_text(code.replace("localhost:7233", temporal_server), encoding="utf-8")
    keys = ("-m", "sealwire", "keys")
    tutorial_run(tmp_path, *keys, "init", "--namespace", "default")
    with tutorial_worker(tmp_path):
        paid = [tutorial_run(tmp_path, "pay.py")]
        seen = [tutorial_run(tmp_path, "look.py")]
        tutorial_run(tmp_path, *keys, "rotate", "--immediate")
        paid.append(tutorial_run(tmp_path, "pay.py"))
        seen.append(tutorial_run(tmp_path, "look.py"))

    assert ["charged 1815.00 to the card of Ada Lovelace\n"] * 2 == paid
    assert [2, 2] == [output.count("binary/sealed-v1") for output in seen]
    assert all("readable: False" in output for output in seen)
    old, new = (set(re.findall(r"key (\S+)", output)) for output in seen)
    assert [1, 1] == [len(old), len(new)]
    assert old.isdisjoint(new)
