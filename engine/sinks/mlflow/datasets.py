"""The dataset version as a dataset input of a run, as MLflow's own Delta source writes it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from engine.core.vocabulary import DatasetVersion
from engine.sinks.mlflow.tags import MAX_TAG, PREFIX

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

# MLflow refuses a dataset's schema of a character more.
MAX_SCHEMA = 1_048_575

_COLUMN_TYPES = {
    "string": "string",
    "boolean": "boolean",
    "tinyint": "integer",
    "smallint": "integer",
    "int": "integer",
    "bigint": "long",
    "float": "float",
    "double": "double",
    "date": "datetime",
    "timestamp": "datetime",
    "timestamp_ntz": "datetime",
    "binary": "binary",
}


def dataset_input(dataset: DatasetVersion) -> DatasetInput:
    """A dataset version with its digest, place, columns and number of rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = hashlib.sha256(f"{dataset.table_id}@{dataset.version}".encode()).hexdigest()[:8]
    place = "delta_table_name" if dataset.is_catalog_table else "path"
    source = {
        place: dataset.uri,
        "delta_table_version": dataset.version,
        "is_databricks_uc_table": False,
        "delta_table_id": dataset.table_id,
    }
    version = f"@v{dataset.version}"
    schema = json.dumps({"mlflow_colspec": colspec(dataset)})
    entity = Dataset(
        name=f"{dataset.name[: 500 - len(version)]}{version}",
        digest=digest,
        source_type="delta_table",
        source=json.dumps(source),
        schema=schema if len(schema) <= MAX_SCHEMA else None,
        profile=json.dumps({"num_rows": dataset.rows}),
    )
    tags = [
        InputTag("mlflow.data.context", "evaluation"),
        # MLflow drops a version 0 from the source.
        InputTag(f"{PREFIX}.dataset_version", str(dataset.version)),
    ]
    if dataset.files:
        tags.append(InputTag(f"{PREFIX}.dataset_files", dataset.files[:MAX_TAG]))
    return DatasetInput(entity, tags)


def colspec(dataset: DatasetVersion) -> list[dict[str, Any]]:
    """A dataset's columns in MLflow's words; what it has no word for is `any`."""
    return [
        {"type": _column_type(kind), "name": name, "required": False}
        for name, kind in dataset.schema
    ]


def _column_type(kind: str) -> str:
    return "double" if kind.startswith("decimal") else _COLUMN_TYPES.get(kind, "any")
