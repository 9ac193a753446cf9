"""The store: where results, states, the lake and reports lie, as paths or as catalog names.

A name that a user has chosen never leads out of the store.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from engine.core.object_store import in_object_store
from engine.core.paths import is_there, local_path
from engine.errors import InputError, StoreError

DEFAULT_STORE = "./store"

_CATALOG = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")

# A URI's query, and a character by its number.
_NO_DATABASE = re.compile(r"\?|%[0-9a-fA-F]{2}")
# What means another folder than one of that name, or one that is there for something else.
_NO_FOLDERS = frozenset({".", "..", "_delta_log", ".locks"})
# A file system takes 255 bytes, of which the ending of a lock's name needs some.
_FOLDER_BYTES = 250


@dataclass(frozen=True, slots=True)
class Store:
    """The root of a store: a path, an object store's URI, or `catalog.schema`."""

    root: str

    @property
    def is_catalog(self) -> bool:
        """Whether the root names a schema of a catalog, not a place in a file system."""
        return bool(_CATALOG.fullmatch(self.root)) and not is_there(self.root)

    @property
    def local(self) -> Path | None:
        """The root as a local folder; None for a catalog or an object store."""
        return None if self.is_catalog else local_path(self.root)

    @property
    def in_object_store(self) -> bool:
        """Whether the root is in an object store that is reached by S3's protocol."""
        return in_object_store(self.root)

    def table(self, name: str) -> str:
        """A table of the store: a name in its catalog, or a path."""
        if self.is_catalog:
            return f"{self.root}.{name.replace('/', '_')}"
        if self.local is not None:
            return str(self.local / name)
        return f"{self.root.rstrip('/')}/{name}"

    def lake_table(self, dataset: str) -> str:
        """The table of a dataset that is taken from files, whatever the dataset is called.

        Where a name makes no folder of its own, or no name in a catalog, other characters stand for
        those that do not fit, and a mark behind them tells it from similar names.
        """
        return self._table_in("lake", dataset)

    def frame_table(self, dataset: str) -> str:
        """The table of a dataset that a notebook's frame is, which is no table of the lake."""
        return self._table_in("frames", dataset)

    def _table_in(self, folder: str, dataset: str) -> str:
        if self.is_catalog:
            fits = re.fullmatch(r"\w+", dataset) is not None
            return self.table(
                f"{folder}/{dataset if fits else _path_part(dataset, r'[^a-z0-9_]', '_')}"
            )
        taken = dataset in _NO_FOLDERS or "/" in dataset or "\0" in dataset
        long = len(dataset.encode("utf-8", "replace")) > _FOLDER_BYTES
        if (taken or long) and not self._made_before(dataset):
            dataset = _path_part(dataset, r"[^\w .+,@=-]", "-")
        return self.table(f"{folder}/{dataset}")

    def _made_before(self, dataset: str) -> bool:
        """Whether an earlier version has made a table of this name in folders of the lake."""
        if self.local is None or _NO_FOLDERS.union([""]).intersection(dataset.split("/")):
            return False
        return is_there(self.local / "lake" / dataset / "_delta_log")

    @property
    def files(self) -> Path:
        """The local folder of reports and logs: the store itself, or `./evalmatrix` beside it."""
        return self.local or Path("evalmatrix").absolute()

    @property
    def tracking_uri(self) -> str:
        """MLflow's default place: SQLite in the store.

        Raises:
            InputError: for a path that means another one as a part of a database's URI.
        """
        database = str(self.files / "mlflow.db")
        if odd := _NO_DATABASE.search(database):
            raise InputError(
                f"the store {self.root!r} has {odd[0]!r} in its path, by which MLflow's database "
                "would lie elsewhere; choose another `store:`, or set mlflow.tracking_uri"
            )
        return f"sqlite:///{database}"

    def report_folder(self, run_id: str) -> Path:
        """Where the report, the JUnit file and the summary of a run lie."""
        return self.files / "reports" / run_id

    def card_folder(self, model: str, version: str) -> Path:
        """Where the papers about a registered version lie, whatever the model is called."""
        is_plain = re.fullmatch(r"\w[\w.-]{0,199}", model) is not None
        name = model if is_plain else _path_part(model, r"[^\w.-]", "-")
        return self.files / "cards" / name / version

    @property
    def log_file(self) -> Path:
        """Where Spark's own messages go."""
        return self.files / "logs" / "spark.log"

    def check_writable(self) -> None:
        """Makes the local folder of the store.

        Raises:
            StoreError: when it cannot be made or written.
        """
        folder = self.files
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".write-test-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"the store {self.root!r} cannot be written: {error.strerror or error} "
                f"({folder}); nothing was evaluated; choose another `store:` or free this one"
            ) from error


def _path_part(name: str, other: str, sign: str) -> str:
    """A name as a part of a path: `sign` for each `other`, cut, and a mark of the whole name."""
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = re.sub(other, sign, name.lower() if sign == "_" else name)
    return f"{plain.strip('. -_')[:40] or 'data'}{sign}{mark}"
