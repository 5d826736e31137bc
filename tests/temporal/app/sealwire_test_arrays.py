"""A workflow that takes an array and tables; their packages are imported in the sandbox."""

# Two of the packages have no types, and the hints are to be the real classes.
# mypy: disable-error-code="import-untyped"
# pyright: basic, reportMissingTypeStubs=false

from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from temporalio import activity, workflow


@activity.defn
async def as_table(array: np.ndarray, frame: pd.DataFrame, polars: pl.DataFrame) -> pa.Table:
    assert type(array) is np.ndarray
    assert type(frame) is pd.DataFrame
    assert type(polars) is pl.DataFrame
    return pa.table({"array": array, "frame": frame["x"], "polars": polars["x"].to_arrow()})


@workflow.defn
class Arrays:
    @workflow.run
    async def run(self, array: np.ndarray, frame: pd.DataFrame, polars: pl.DataFrame) -> pa.Table:
        assert type(array) is np.ndarray
        assert type(frame) is pd.DataFrame
        assert type(polars) is pl.DataFrame
        table = await workflow.execute_activity(
            as_table,
            args=[array + 1, frame * 2, polars.select(pl.col("x") * 3)],
            start_to_close_timeout=timedelta(seconds=20),
        )
        assert type(table) is pa.Table
        return table
