"""The errors as values: what carries them elsewhere."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from sealwire import errors
from sealwire.errors import DecryptError, SealwireError

KINDS = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
DETAILS = {"key_id": "k", "encoding": "binary/x", "index": 3, "dictionary_id": 7}


def an_error(kind: Callable[..., SealwireError]) -> SealwireError:
    """Return one with a text, unless it has its own, and with all details that it takes."""
    takes = inspect.signature(kind).parameters
    text = ["a text"] if "message" in takes else []
    error = kind(*text, **{name: value for name, value in DETAILS.items() if name in takes})
    error.add_note("a note")
    return error


def pickled(error: SealwireError) -> SealwireError:
    carried: SealwireError = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    return carried


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carry", [copy.copy, copy.deepcopy, pickled])
def test_an_error_arrives_whole(
    kind: Callable[..., SealwireError], carry: Callable[[SealwireError], SealwireError]
) -> None:
    """A copy, and what comes out of another process, has the class, the text and all details."""
    error = an_error(kind)
    carried = carry(error)
    assert type(error) is type(carried)
    assert str(error) == str(carried)
    assert vars(error) == vars(carried)


def refuse() -> None:
    raise DecryptError(key_id="k")


def test_a_pool_of_processes_survives_a_payload_that_is_refused() -> None:
    """The error is the caller's, and the next task runs."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for _ in range(2):
            with pytest.raises(DecryptError) as caught:
                pool.submit(refuse).result()
            assert "k" == caught.value.key_id
