"""The store: where results, states, the lake and reports lie, as paths or as catalog names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from engine.errors import StoreError

_CATALOG = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Store:
    """The root of a store: a path, an object store's URI, or `catalog.schema`."""

    root: str

    @property
    def is_catalog(self) -> bool:
        """Whether the root names a schema of a catalog, not a place in a file system."""
        return bool(_CATALOG.fullmatch(self.root)) and not Path(self.root).exists()

    @property
    def local(self) -> Path | None:
        """The root as a local folder; None for a catalog or an object store."""
        if self.is_catalog:
            return None
        parsed = urlparse(self.root)
        if parsed.scheme == "file":
            return Path(unquote(parsed.path))
        return None if len(parsed.scheme) > 1 else Path(self.root).expanduser().absolute()

    def table(self, name: str) -> str:
        """A table of the store: a name in its catalog, or a path."""
        if self.is_catalog:
            return f"{self.root}.{name.replace('/', '_')}"
        if self.local is not None:
            return str(self.local / name)
        return f"{self.root.rstrip('/')}/{name}"

    @property
    def files(self) -> Path:
        """The local folder of reports and logs: the store itself, or `./evalmatrix` beside it."""
        return self.local or Path("evalmatrix").absolute()

    @property
    def tracking_uri(self) -> str:
        """MLflow's default place: SQLite in the store."""
        return f"sqlite:///{self.files / 'mlflow.db'}"

    def report_folder(self, run_id: str) -> Path:
        """Where the report, the JUnit file and the summary of a run lie."""
        return self.files / "reports" / run_id

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
