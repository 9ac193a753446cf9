"""Ships the models' folders from the driver to workers that do not share its disk.

Each model goes once to a session, as an archive that Spark unpacks on every executor before the
next task starts there; `engine.models.load` finds it by its digest. Nothing of a model is in a
task's closure. Workers that are processes of this machine read the folders as they are.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, finalize

from engine.core.vocabulary import ModelVersion
from engine.errors import StoreError
from engine.models import shipped_name
from engine.spark.api import spark_errors
from engine.spark.internals import runs_here

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# What each session has been given, by digest.
_SHIPPED: WeakKeyDictionary[SparkSession, set[str]] = WeakKeyDictionary()


def ship(spark: SparkSession, models: Iterable[ModelVersion]) -> None:
    """Makes the models' folders loadable on every worker of a session.

    Raises:
        StoreError: when Spark does not take an archive.
    """
    if runs_here(spark):
        return
    shipped = _SHIPPED.setdefault(spark, set())
    for model in models:
        no_files = model.is_stored or model.is_endpoint or model.refusal
        if no_files or model.digest in shipped:
            continue
        # A classic session serves the archive from where it lies, for as long as it runs.
        folder = Path(tempfile.mkdtemp(prefix="evalmatrix-shipping-"))
        finalize(spark, shutil.rmtree, folder, ignore_errors=True)
        name = shipped_name(model.digest)
        archive = pack_folder(Path(model.path), folder / f"{name}.zip")
        try:
            spark.addArtifacts(f"{archive}#{name}", archive=True)
        except spark_errors(OSError) as error:
            raise StoreError(
                f"the model {model.name!r} could not be shipped to the workers: "
                f"{str(error).splitlines()[0]}"
            ) from error
        shipped.add(model.digest)


def pack_folder(folder: Path, archive: Path) -> Path:
    """Packs the files of a folder into a zip; weights do not compress, so nothing is."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                target.write(path, path.relative_to(folder))
    return archive
