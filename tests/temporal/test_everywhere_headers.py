"""Headers are in clear by default."""

from __future__ import annotations

import everywhere_calling as app
import pytest
from everywhere_headers import Headers
from everywhere_stage import Application, Stage

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def application() -> Application:
    return Application(
        [app.Calling, app.Called], [app.called], client={"interceptors": [Headers()]}
    )


async def test_headers(stage: Stage, unique: str) -> None:
    """Headers are stored as an interceptor has written them, and arrive."""
    assert app.ANSWERS == await app.play(stage.client, stage.queue, unique)
