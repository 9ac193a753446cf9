"""The Spark session of a command: there when somebody asks, begun early beside other work.

What needs no rows needs no JVM: on this machine a session is started by whoever first asks for it.
Nothing here imports PySpark before that.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.object_store import in_object_store
from engine.core.paths import is_catalog_name, local_path
from engine.errors import InputError
from engine.spark.installation import check_installation, lack, need
from engine.spark.java import check_java
from engine.spark.query_loggers import silence_query_loggers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# By these Spark may be elsewhere, or have another disk for its default: only Spark can tell.
_ELSEWHERE = frozenset(
    {"HADOOP_CONF_DIR", "PYSPARK_GATEWAY_PORT", "SPARK_CONF_DIR", "SPARK_HOME", "SPARK_REMOTE"}
)


_prefers_spark = False


class LazySession:
    """A session that is given, that is active already, or that is started on demand.

    Args:
        spark: the caller's session.
        executor: `spark`; `local`, which starts none; or `auto`: a session that is given, or a
            master that is named, is used; else it is decided when it is known what there is to
            do (`settle`), and whoever asks for the session before decides it so. Without PySpark
            or Java it is local.
        log_file: where a new JVM's standard output and error go.
        say: is told that a session is being started.
        begin_local: begins the work of this machine's processes, where they may do it.
    """

    def __init__(
        self,
        spark: SparkSession | None = None,
        *,
        executor: str = "spark",
        log_file: Path | None = None,
        say: Callable[[str], None] = lambda text: None,
        begin_local: Callable[[], None] = lambda: None,
    ) -> None:
        self._spark = spark
        self._executor = executor
        self._was_told_local = executor == "local"
        self._log_file = log_file
        self._say = say
        self._begin_local = begin_local
        self._lock = threading.Lock()
        self._begun: Future[SparkSession] | None = None
        self._shares_disk: bool | None = None
        self._seen: set[str] = set()
        self._object_store = False
        self._required: str | None = None
        self._is_settled = False

    @property
    def current(self) -> SparkSession | None:
        """The session, if there is one; none is started."""
        if self._spark is None:
            self._spark = active_session()
        return self._spark

    @property
    def is_local(self) -> bool:
        """Whether processes of this machine do the work, and no session is started."""
        if self._executor == "auto" and self._may_be_local() and (lacking := lack()):
            self._executor = "local"
            self._say(f"{lacking} here: processes of this machine do Spark's work")
        return self._executor == "local"

    @property
    def is_undecided(self) -> bool:
        """Whether Spark or processes of this machine may do the work, and nobody has said which."""
        return not self.is_local and self._executor == "auto" and self._may_be_local()

    def settle(self, *, local: bool) -> None:
        """Decides who does the work."""
        self._executor, self._is_settled = ("local" if local else "spark"), True

    @property
    def may_turn(self) -> bool:
        """Whether processes of this machine do the work, and Spark could go on with it."""
        return self.is_local and self._is_settled and not lack()

    def _may_be_local(self) -> bool:
        named = _prefers_spark or "MASTER" in os.environ
        return self.current is None and not named and _would_be_local()

    @property
    def remedy(self) -> str:
        """What to change where a Spark is wanted that may not be started: an end of a message."""
        if not self._was_told_local:
            return need()
        return " and ".join(filter(None, ("say executor: auto or spark", need())))

    def reach(self, *places: str) -> None:
        """Is told of places that Spark may read: a session that is started then can."""
        self._object_store |= any(map(in_object_store, places))

    def require(self, *places: str) -> None:
        """Is told of places that Spark must read.

        Raises:
            InputError: when the session that is there has no way to them.
        """
        self.reach(*places)
        for place in filter(in_object_store, places):
            self._required = place
            if self.current is not None and not self.is_local:
                _check_object_store(self.current, place)

    def direct_place(self, table: str) -> Path | str | None:
        """Where delta-rs finds the table that Spark means; None where only Spark can tell."""
        if is_catalog_name(table):
            return None
        if in_object_store(table):
            return table
        path = local_path(table)
        return path if path is not None and self.shares_disk else None

    def begin(self) -> None:
        """Starts the session in a thread of its own, where there is none; it is asked for later.

        Where processes of this machine may do the work, one of them is started instead.
        """
        if self.is_local or self.is_undecided:
            self._begin_local()
            return
        with self._lock:
            if self._begun is not None or self.current is not None:
                return
            self._say("starting Spark")
            begun: Future[SparkSession] = Future()
            self._begun = begun

        def start() -> None:
            try:
                begun.set_result(_start(self._log_file, object_store=self._object_store))
            except BaseException as error:
                begun.set_exception(error)

        # No thread that the end of the process waits for: a JVM that nobody asked for ends with it.
        threading.Thread(target=start, name="starting Spark", daemon=True).start()

    def get(self) -> SparkSession:
        """The session, which is started where there is none.

        Raises:
            EvalMatrixError: when Java is missing.
            InputError: when PySpark is not installed, or no session may be started.
            StoreError: when Spark does not start.
            InputError: when it has no way to an object store that it must read.
        """
        if self.current is None and self.is_local:
            for package in ("pyspark", "delta"):
                check_installation(package)
            check_java()
            raise InputError(f"executor: local starts no Spark, which this takes; {self.remedy}")
        if self.current is None:
            self._executor = "spark"
            self.begin()
            begun = self._begun
            assert begun is not None, "there is a session, or one is being started"
            spark = begun.result()
            _make_active(spark)
            self._spark = spark
            if self._required is not None:
                _check_object_store(spark, self._required)
        assert self._spark is not None, "a session was started"
        return self._spark

    @property
    def shares_disk(self) -> bool:
        """Whether a path means to Spark the folder that it means to this process.

        A cluster's default file system, and the server of Spark Connect, may be elsewhere.
        """
        if self.is_local:
            return True
        if self._shares_disk is None:
            self._shares_disk = self._looks_here()
        return self._shares_disk

    def note_seen(self, places: Iterable[str]) -> None:
        """Notes tables whose files the workers see as this process does, wherever they are."""
        self._seen.update(places)

    def is_seen(self, place: str) -> bool:
        """Whether the workers see the files of a table as this process does."""
        return self.runs_here or place in self._seen

    @property
    def runs_here(self) -> bool:
        """Whether the workers are processes of this machine, with its disks, or would be."""
        if self.is_local or (self.current is None and _would_be_local()):
            return True
        return _runs_here(self.get())

    def setting(self, name: str, default: str) -> str:
        """A setting of the session; the default, which ours have, where there is none yet."""
        return default if self.current is None else str(self.current.conf.get(name, default))

    def _looks_here(self) -> bool:
        if self.current is None and _would_be_local():
            return True
        return _is_on_this_disk(self.get())


def lazy(session: LazySession | SparkSession) -> LazySession:
    """A session that is given, as one that is asked for."""
    return session if isinstance(session, LazySession) else LazySession(session)


def active_session() -> SparkSession | None:
    """The session that is active already; None without one, and PySpark is not imported for it."""
    if "pyspark.sql.session" not in sys.modules:
        return None
    return _active()


def _active() -> SparkSession | None:
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()


@contextmanager
def prefer_spark() -> Iterator[None]:
    """Has `auto` mean Spark meanwhile where there is one, as in jobs for spark-submit."""
    global _prefers_spark
    before, _prefers_spark = _prefers_spark, not lack()
    try:
        yield
    finally:
        _prefers_spark = before


def _would_be_local() -> bool:
    """Whether a session that is started here would be one of this machine's own, and its disk's."""
    return not _ELSEWHERE & os.environ.keys() and os.environ.get("MASTER", "local").startswith(
        "local"
    )


def _start(log_file: Path | None, *, object_store: bool) -> SparkSession:
    from engine.spark.session import get_session

    silence_query_loggers()
    return get_session(log_file=log_file, object_store=object_store)


def _check_object_store(spark: SparkSession, place: str) -> None:
    from engine.spark.preflight import check_object_store

    check_object_store(spark, place)


def _make_active(spark: SparkSession) -> None:
    from engine.spark.internals import make_active

    make_active(spark)


def _runs_here(spark: SparkSession) -> bool:
    from engine.spark.internals import runs_here

    return runs_here(spark)


def context_of(session: LazySession) -> Any:
    """The JVM's own SparkContext; None without a session, and for Spark Connect."""
    if session.current is None:
        return None
    from engine.spark.internals import jvm_context

    return jvm_context(session.current)


def pid_of(spark: SparkSession) -> int | None:
    """The process of a session's JVM on this machine."""
    from engine.spark.internals import jvm_pid

    return jvm_pid(spark)


def _is_on_this_disk(spark: SparkSession) -> bool:
    from engine.spark.internals import shares_disk

    return shares_disk(spark)
