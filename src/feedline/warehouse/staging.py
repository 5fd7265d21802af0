"""Parquet files on the load stage, and COPY from there, each file's row count checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feedline.errors import ControlMismatchError, RetriableError
from feedline.warehouse.connection import Session
from feedline.warehouse.names import LOAD_STAGE

# Rows of a file are read in parallel by row group; a quarter of a usual chunk keeps two cores busy.
ROW_GROUP_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One Parquet file of `rows` rows for a fully qualified table; `name` is unique under its stage path."""

    table: str
    name: str
    rows: int


def write_file(folder: Path, prefix: str, index: int, table: str, rows: pa.Table) -> StagedFile:
    """Writes `<folder>/<prefix>-<index>.parquet`.

    Snappy, because every reader has it and it costs least. Dictionaries for text only: numbers seldom repeat, and
    trying costs more than it saves.
    """
    name = f"{prefix}-{index}.parquet"
    texts: Any = [
        field.name
        for field in rows.schema
        if pa.types.is_string(field.type) or pa.types.is_dictionary(field.type) or pa.types.is_boolean(field.type)
    ]
    pq.write_table(
        rows,
        folder / name,
        compression="snappy",
        use_dictionary=texts,
        row_group_size=ROW_GROUP_ROWS,
        write_statistics=False,
        store_schema=False,
    )
    return StagedFile(table, name, rows.num_rows)


# Without NULL_IF a text of a backslash and an N would become NULL, and bytes would be read as text.
_PARQUET = "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE NULL_IF = ()"


def put_files(session: Session, folder: Path, stage_path: str) -> None:
    """Uploads every Parquet file of a folder to a path of the load stage."""
    session.execute(
        f"PUT 'file://{folder.as_posix()}/*.parquet' @{LOAD_STAGE}/{stage_path}/ "
        "AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE",
        doing="cannot upload to the load stage",
    )


def copy_files(session: Session, stage_path: str, files: Mapping[str, list[StagedFile]]) -> None:
    """COPY of each table's files, `files` by their common prefix, inside the caller's transaction.

    Columns are matched by name, so a table may have more of them than the file. The caller rolls back on
    RetriableError, when files that were uploaded are not found on the stage, and on ControlMismatchError, when the
    warehouse says that it loaded other files or another number of rows.
    """
    for prefix, staged in files.items():
        rows = session.execute(
            f"COPY INTO {staged[0].table} FROM @{LOAD_STAGE}/{stage_path}/{prefix}- "
            f"FILE_FORMAT = ({_PARQUET}) "
            "MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR = ABORT_STATEMENT PURGE = TRUE",
            doing=f"cannot copy into {staged[0].table}",
        )
        # A row is file, status, rows parsed, rows loaded, ...; of no file at all it is one text.
        found = {str(row[0]).rsplit("/", 1)[-1]: int(row[3]) for row in rows if len(row) > 3 and row[1] == "LOADED"}
        expected = {file.name: file.rows for file in staged}
        if found.items() < expected.items():
            missing = ", ".join(sorted(expected.keys() - found.keys()))
            answer = "; ".join(" ".join(map(str, row)) for row in rows)
            raise RetriableError(
                f"COPY into {staged[0].table} did not find {missing} below @{LOAD_STAGE}/{stage_path}, where it was "
                f"uploaded (the warehouse answered: {answer}); nothing was changed, and trying again uploads it again. "
                "If this repeats, see whether something else removes files from the stage"
            )
        if found != expected:
            raise ControlMismatchError(
                f"COPY into {staged[0].table} reported rows {found} instead of {expected}; nothing was changed"
            )
