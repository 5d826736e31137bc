"""The section `[storage]`: what it builds, and what it refuses."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sealwire.codecs import EncryptionCodec, FolderCache, FolderObjectStore, MemoryCache
from sealwire.codecs.object_bucket import BucketObjectStore
from sealwire.codecs.object_names import Owner
from sealwire.config import Config, StorageOptions, load_config
from sealwire.errors import ConfigurationError
from sealwire.payload import Payload


def load(folder: Path, text: str) -> Config:
    file = folder / "sealwire.toml"
    file.write_text(text)
    return load_config(file)


def content_ids(config: Config) -> list[int | None]:
    return [
        codec.content_ids
        for codec in config.codec("default").codecs
        if isinstance(codec, EncryptionCodec)
    ]


def test_without_the_section_there_is_no_storage(tmp_path: Path) -> None:
    """And no payload has a content id."""
    config = load(tmp_path, "")
    assert (None, None) == (config.storage, config.payload_storage)
    assert [None] == content_ids(config)


def test_a_folder_is_beside_the_file(tmp_path: Path) -> None:
    """With the defaults; it is the same storage for all, so that they share its cache."""
    config = load(tmp_path, '[storage]\nfolder = "payloads"\n')
    storage = config.payload_storage
    assert storage is not None
    assert storage is config.payload_storage
    assert FolderObjectStore(tmp_path / "payloads") == storage.objects
    assert (50 << 20, True, 8) == (storage.max_size, storage.require_sealed, storage.threads.count)
    assert isinstance(storage.cache, MemoryCache)
    assert [None] == content_ids(config)


def test_a_bucket_and_all_options(tmp_path: Path) -> None:
    """Each reaches its part."""
    config = load(
        tmp_path,
        """
        [storage]
        url = "s3://bucket/prefix"
        endpoint = "http://127.0.0.1:9000"
        name = "mine"
        threshold = 1000
        max_size = 2000
        content_ids = true
        require_sealed = false
        timeout = 7
        concurrency = 3
        cache_size = 4000
        cache_folder = "cache"
        """,
    )
    storage = config.payload_storage
    assert storage is not None
    expected = BucketObjectStore("s3://bucket/prefix", "http://127.0.0.1:9000", 7.0)
    assert expected == storage.objects
    assert (2000, False, 3) == (storage.max_size, storage.require_sealed, storage.threads.count)
    assert FolderCache(tmp_path / "cache", 4000) == storage.cache
    assert [1000] == content_ids(config)


async def test_threads_end_when_the_configuration_is_closed(tmp_path: Path) -> None:
    """And start again for whoever goes on."""
    config = load(tmp_path, '[storage]\nfolder = "x"\nrequire_sealed = false\n')
    storage = config.payload_storage
    assert storage is not None
    for _ in range(2):
        before = set(threading.enumerate())
        await storage.store([Payload(data=b"x")], Owner("default"))
        (started,) = set(threading.enumerate()) - before
        await config.aclose()
        started.join(5)
        assert not started.is_alive()


def test_the_first_step_of_a_migration_stores_plaintext(tmp_path: Path) -> None:
    """Where everything is in clear, what is large is, too."""
    config = load(
        tmp_path,
        'write_plaintext = true\n[storage]\nfolder = "x"\n'
        '[[codec]]\ntype = "encryption"\npolicy = "migrate"\n',
    )
    assert config.payload_storage is not None
    assert not config.payload_storage.require_sealed


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "a url or a folder"),
        ({"url": "s3://b", "folder": "x"}, "a url or a folder"),
        ({"url": "http://b"}, "must be a URL such as s3://"),
        ({"url": "file:///folder"}, "must begin with s3://"),
        ({"url": "s3://b", "endpoint": "http://minio.example.com"}, "must begin with https://"),
        ({"folder": "x", "threshold": 0}, "threshold must be 1 byte or more"),
        ({"folder": "x", "threshold": 10, "max_size": 9}, "at most max_size"),
        ({"folder": "x", "name": ""}, "name must not be empty"),
        ({"folder": "x", "concurrency": 0}, "1 thread or more"),
        ({"folder": "x", "cache_size": -1}, "must not be negative"),
        ({"url": "s3://b", "timeout": 0}, "timeout must be above 0"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    """When the file is read, and not at the first large payload."""
    lines = [f"{key} = {f'{value!r}'}\n" for key, value in options.items()]
    with pytest.raises(ConfigurationError, match=told):
        load(tmp_path, "[storage]\n" + "".join(lines))


def test_content_ids_need_the_sealed_format(tmp_path: Path) -> None:
    """The other one has no place for them."""
    text = '[storage]\nfolder = "x"\ncontent_ids = true\n'
    with pytest.raises(ConfigurationError, match="only for the sealed format"):
        load(tmp_path, text + '[[codec]]\ntype = "encryption"\nformat = "interop"\n')


def test_options_are_made_in_code_too(tmp_path: Path) -> None:
    """With the same checks."""
    with pytest.raises(ConfigurationError, match="a url or a folder"):
        StorageOptions()
    assert StorageOptions(folder=tmp_path).storage().require_sealed
