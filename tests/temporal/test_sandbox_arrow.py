"""Arrays and tables inside the sandbox, by the Arrow converter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from temporalio.client import Client
from temporalio.worker import Worker

from sealwire.config import Config, ConverterOptions
from sealwire.temporal import SealwirePlugin

# Two of the packages have no types, and the application is made of theirs.
pa: Any = import_module("pyarrow")
pd: Any = import_module("pandas")
pl: Any = import_module("polars")
app: Any = import_module("sealwire_test_arrays")

MakeConfig = Callable[..., Awaitable[Config]]


async def test_arrays_and_tables_reach_the_workflow(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Values of numpy, pandas, polars and Arrow are of their own classes in the sandbox too."""
    config = replace(await make_config(), converter=ConverterOptions(also=("arrow",)))
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    array = np.arange(3)
    frame = pd.DataFrame({"x": [1, 2, 3]})
    polars = pl.DataFrame({"x": [1, 2, 3]})
    async with Worker(
        client,
        task_queue=unique,
        workflows=[app.Arrays],
        activities=[app.as_table],
        workflow_failure_exception_types=[Exception],  # else a fault is tried again for ever
    ):
        result = await client.execute_workflow(
            app.Arrays.run, args=[array, frame, polars], id=unique, task_queue=unique
        )
    expected = {"array": [1, 2, 3], "frame": [2, 4, 6], "polars": [3, 6, 9]}
    assert type(result) is pa.Table
    assert expected == result.to_pydict()
