"""Headers are sealed where `[temporal]` says so."""

from __future__ import annotations

import everywhere_calling as app
import pytest
from everywhere_headers import Headers
from everywhere_stage import Application, Stage

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def application() -> Application:
    return Application(
        [app.Calling, app.Called],
        [app.called],
        client={"interceptors": [Headers()]},
        configuration='[temporal]\nheaders = "all"\n',
    )


async def test_sealed_headers(stage: Stage, unique: str) -> None:
    """With `headers = "all"` they are sealed, and arrive just so."""
    assert app.ANSWERS == await app.play(stage.client, stage.queue, unique)
