"""Files taken without Spark: the tables that Spark makes of them, or a refusal."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.files.lake import Question, take
from engine.data.files.reading import PLAIN, Reading
from engine.errors import DataError, InputError
from engine.spark.lazy_session import LazySession
from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.data.files.lake import Taken

pytestmark = pytest.mark.spark

# Of each class of texts, and of the edges between them.
WORDS = {
    "whole": ["0", "7", "-3", "+5", " 12", "4\t", "2147483647", "2147483648", "-2147483648"],
    "long": ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "1" * 38],
    "number": ["1.5", "-.5", "2.", "1e5", "1E-3", "nan", "NaN", "inf", "-Infinity", "+inf", "-0.0",
               "0.1", "1.7976931348623157e308", "1e309", "4.9e-324", "123456789.123456789"],
    "zeros": ["007", "00", "01.5", "-08"],
    "boolean": ["true", "FALSE", " True"],
    "date": ["2024-02-29", "2023-02-29", "0001-01-01", "9999-12-31", "1582-10-10", "2024-13-01"],
    "time": ["2024-01-02 03:04", "2024-01-02T03:04:05", "2024-01-02 03:04:05.123456",
             "2024-01-02 03:04:05.12Z", "2024-01-02 03:04:05 UTC", "2024-01-02T03:04:05.5+05:30",
             "1900-01-01 00:00:00-18:00", "2024-01-02 25:00", "2024-01-02 03:04:05.1234560"],
    "text": ["a", "ä b", " ", "x,y", 'say "so"', "line\nline", "NA", "-", "?", "None", "0000-00-00",
             "🙂", "#1", "'", "\\", "\\n", "a\\", "12a", "1_000", "1d", "0x1F", "\u2028"],
}  # fmt: skip
KINDS = ["string", "boolean", "tinyint", "smallint", "int", "bigint", "float", "double",
         "decimal(10,2)", "decimal(38,0)", "date", "timestamp", "timestamp_ntz"]  # fmt: skip
FITTING: dict[str, list[str | None]] = {
    "whole": [None, "bigint", "float", "double", "decimal(12,2)", "string"],
    "long": [None, "double", "decimal(38,0)"],
    "number": [None, "float", "double"],
    "zeros": [None, "double", "decimal(10,0)"],
    "boolean": [None, "boolean"],
    "date": [None],
    "time": [None, "string"],
    "text": [None, "string"],
}
TIME = dt.datetime(2024, 1, 2, 3, 4, 5, 678_901)
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "tiny": (pa.int8(), [1, -128]), "small": (pa.uint8(), [0, 255]), "int": (pa.int32(), [-7, 9]),
    "long": (pa.int64(), [2**53 + 1, -1]), "unsigned": (pa.uint32(), [2**32 - 1]),
    "huge": (pa.uint64(), [2**64 - 1]), "float": (pa.float32(), [0.1, float("nan"), -0.0]),
    "half": (pa.float16(), [1.5]), "double": (pa.float64(), [0.1, float("inf"), float("nan")]),
    "truth": (pa.bool_(), [True, False]), "text": (pa.large_string(), ["", "a\0", "ä"]),
    "bytes": (pa.binary(), [b"\0", b""]), "day": (pa.date32(), [dt.date(1500, 1, 1)]),
    "exact": (pa.decimal128(12, 3), [Decimal("1.500")]), "void": (pa.null(), [None]),
    "naive": (pa.timestamp("us"), [TIME]), "milli": (pa.timestamp("ms", "Europe/Berlin"), [0]),
    "nano": (pa.timestamp("ns", "UTC"), [1_000, 1_001]), "clock": (pa.time64("us"), [dt.time(1)]),
    "class": (pa.dictionary(pa.int8(), pa.string()), ["a", "b"]),
    "list": (pa.list_(pa.int32()), [[1]]),
}  # fmt: skip


@st.composite
def csv_files(draw: Any) -> tuple[list[bytes], Reading]:
    """Two files of the same columns, most of which fit what is said of them."""
    pairs = [(word, kind) for word in sorted(WORDS) for kind in FITTING[word]]
    columns = draw(st.lists(st.sampled_from(pairs), min_size=3, max_size=8))
    if draw(st.integers(0, 3)) == 0:
        odd = st.tuples(st.sampled_from(sorted(WORDS)), st.sampled_from([None, *KINDS]))
        columns.append(draw(odd))
    names = [f"c{place}" for place in range(len(columns))]
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    contents = []
    for _ in range(2):
        texts = [st.lists(st.sampled_from(["", *WORDS[word]]), min_size=5, max_size=5)
                 for word, _ in columns]  # fmt: skip
        text = io.StringIO()
        writer = csv.writer(text, quoting=quoting, lineterminator=ends)
        writer.writerows([names, *zip(*map(draw, texts), strict=True)])
        contents.append(text.getvalue().encode())
    kinds = {name: kind for name, (_, kind) in zip(names, columns, strict=True) if kind}
    return contents, Reading(kinds, draw(st.sampled_from([(), ("NA", "-"), ("a",)])))


@st.composite
def parquet_files(draw: Any) -> list[bytes]:
    """Two files of columns that are of one kind, or of two."""
    drawn = st.sampled_from(sorted(VALUES))
    pairs = st.one_of(st.tuples(drawn), st.tuples(drawn), st.tuples(drawn, drawn))
    kinds = draw(st.lists(pairs, min_size=1, max_size=4))
    contents = []
    for number in (0, -1):
        columns = {}
        for place, names in enumerate(kinds):
            kind, values = VALUES[names[number]]
            listed = draw(st.lists(st.sampled_from([None, *values]), min_size=2, max_size=2))
            columns[f"c{place}"] = pa.array(listed, kind)
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        contents.append(buffer.getvalue())
    return contents


def outcome(take_files: Callable[[], Taken]) -> Any:
    """The rows and the types of a table, or what was wrong with its files."""
    try:
        taken = take_files()
    except DataError as error:
        # Spark does not always know in which of its files a value stands.
        return re.sub(r"^(one of 2 files|'[^']*\.\w+')", "a file", str(error))
    facts = [(about.rows, about.seen, about.types) for about in taken.known.values()]
    return taken.schema, rows_in(taken), facts


def rows_in(taken: Taken) -> list[str]:
    return sorted(map(repr, read_rows(Path(taken.table)).itertuples(index=False)))


def both_ways(spark: SparkSession, folder: Path, fmt: str, reading: Reading = PLAIN) -> Any:
    """What becomes of the files of a folder here, and what by Spark; None where it is refused."""

    def by(session: LazySession, name: str) -> Any:
        asked = Question(str(folder / f"*.{fmt}"), fmt, str(folder / name), reading)
        return outcome(lambda: take(session, asked))

    try:
        ours = by(LazySession(executor="local"), "local")
    except InputError as error:
        if "without Spark the files" in str(error) and "say executor: auto" in str(error):
            return None
        raise
    return ours, by(LazySession(spark), "spark")


def write_files(folder: Path, fmt: str, contents: Iterable[bytes]) -> None:
    for number, content in enumerate(contents):
        (folder / f"{number}.{fmt}").write_bytes(content)


def test_csv_becomes_the_table_that_spark_makes_of_it(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    seen = []

    @settings(max_examples=settings.default.max_examples // 3)
    @given(csv_files())
    def check(drawn: tuple[list[bytes], Reading]) -> None:
        folder = tmp_path_factory.mktemp("csv")
        write_files(folder, "csv", drawn[0])
        seen.append(both_ways(spark, folder, "csv", drawn[1]))
        assert seen[-1] is None or seen[-1][0] == seen[-1][1]

    check()
    # Most become a table, and few are refused.
    assert sum(pair is not None and not isinstance(pair[0], str) for pair in seen) > len(seen) / 4
    assert sum(pair is None for pair in seen) < len(seen) / 4


def test_parquet_becomes_the_table_that_spark_makes_of_it(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    seen = []

    @settings(max_examples=settings.default.max_examples // 2)
    @given(parquet_files())
    def check(contents: list[bytes]) -> None:
        folder = tmp_path_factory.mktemp("parquet")
        write_files(folder, "parquet", contents)
        seen.append(both_ways(spark, folder, "parquet"))
        assert seen[-1] is None or seen[-1][0] == seen[-1][1]

    check()
    assert sum(pair is not None and not isinstance(pair[0], str) for pair in seen) > len(seen) / 4


@pytest.mark.parametrize(
    "content",
    [
        b'a,b\n1,x"y\n',
        b"a,b\r\n1,2\n3,4\r\n",
        b"a,b\n1,2\r3,4\n",
        b"a\n1\n\n2\n",
        b'a,b\n"1" ,2\n',
        b"a,b\n1,\0\n",
        b"a b,c\n1,2\n",
        b"a,b\n0000-01-01,2024-01-02 03:04:05+0100\n",
    ],
)
def test_what_spark_may_read_otherwise_is_refused(
    spark: SparkSession, tmp_path: Path, content: bytes
) -> None:
    write_files(tmp_path, "csv", [content])
    assert both_ways(spark, tmp_path, "csv") is None
    assert not (tmp_path / "local").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\n1,2\n\n3,\n",
        b"a,b\n",
        b"a,b\n1\n",
        b"a,b\n1,2,3\n",
        b'a,b\r\n"x\r\ny",2\r\n"",""\r\n',
        b'"a","b"\n"say ""so""",2',
        b",b\n1,2\n",
    ],
)
def test_odd_files_are_read_as_spark_reads_them(
    spark: SparkSession, tmp_path: Path, content: bytes
) -> None:
    write_files(tmp_path, "csv", [content, content.replace(b"2", b"4")])
    ours, theirs = both_ways(spark, tmp_path, "csv")
    assert ours == theirs


@pytest.mark.parametrize("model", ["breast_cancer_forest", "digits_forest", "diabetes_mlp"])
def test_the_shipped_files_become_sparks_tables(
    spark: SparkSession, tmp_path: Path, root: Path, model: str
) -> None:
    for file in (root / "models" / model / "test_data").glob("*.csv"):
        (tmp_path / file.name).symlink_to(file)
    ours, theirs = both_ways(spark, tmp_path, "csv")
    assert ours == theirs and len(ours[1]) > 100


def test_a_table_follows_its_files(spark: SparkSession, tmp_path: Path) -> None:
    """Rows come, change and go, by turns here and by Spark."""
    sessions = [LazySession(executor="local"), LazySession(spark)]
    asked = Question(str(tmp_path / "*.csv"), "csv", str(tmp_path / "table"), PLAIN)
    steps: list[tuple[dict[str, str | None], tuple[list[str], list[str]], list[Any]]] = [
        ({"a.csv": "n,t\n1,x\n", "b %.csv": "n,t\n2,y\n"}, (["a.csv", "b %.csv"], []),
         [(1, "x"), (2, "y")]),
        ({"c.csv": "n,t\n3,z\n"}, (["c.csv"], []), [(1, "x"), (2, "y"), (3, "z")]),
        ({"a.csv": "n,t\n4,w\n"}, (["a.csv"], ["a.csv"]), [(2, "y"), (3, "z"), (4, "w")]),
        ({"b %.csv": None}, ([], ["b %.csv"]), [(3, "z"), (4, "w")]),
        ({"c.csv": None}, ([], ["c.csv"]), [(4, "w")]),
        ({"d.csv": "n,t\n0.5,v\n"}, (["a.csv", "d.csv"], ["a.csv"]), [(0.5, "v"), (4, "w")]),
    ]  # fmt: skip
    for number, (files, change, rows) in enumerate(steps):
        for name, text in files.items():
            file = tmp_path / name
            file.unlink() if text is None else file.write_text(text)
        taken = take(sessions[number % 2], asked)
        assert (taken.version, (list(taken.came), list(taken.gone))) == (number, change)
        frame = spark.read.format("delta").load(asked.table).select("n", "t").toPandas()
        assert sorted(frame.itertuples(index=False, name=None)) == rows
        assert take(sessions[(number + 1) % 2], asked).version == number


def test_a_file_that_spark_wrote_is_taken_where_its_types_are_plain(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.createDataFrame(pd.DataFrame({"n": [1, 2], "x": [0.5, None], "t": ["a", None]}))
    frame.coalesce(1).write.parquet(str(tmp_path / "plain"))
    (file,) = (tmp_path / "plain").glob("*.parquet")
    write_files(tmp_path, "parquet", [file.read_bytes()])
    ours, theirs = both_ways(spark, tmp_path, "parquet")
    assert ours == theirs
    frame.selectExpr("timestamp'2024-01-02' AS at").write.parquet(str(tmp_path / "times"))
    write_files(tmp_path, "parquet", [next((tmp_path / "times").glob("*.parquet")).read_bytes()])
    assert both_ways(spark, tmp_path, "parquet") is None


def test_who_says_nothing_gets_spark_only_for_what_it_takes(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`executor: auto`, where no session is there yet."""
    asked: list[bool] = []

    def started(session: LazySession) -> SparkSession:
        asked.append(True)
        return spark

    monkeypatch.setattr("engine.spark.lazy_session.active_session", lambda: None)
    monkeypatch.setattr(LazySession, "get", started)
    (tmp_path / "a.csv").write_text("x,y\n1,a\n2,b\n")
    plain = Question(str(tmp_path / "a.csv"), "csv", str(tmp_path / "plain"))
    session = LazySession(executor="auto")
    assert take(session, plain).version == 0 and session.is_undecided and not asked
    folder = tmp_path / "parts" / "country=DE"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("x\n1\n")
    parted = Question(str(tmp_path / "parts" / "*" / "*.csv"), "csv", str(tmp_path / "parted"))
    take(LazySession(executor="auto"), parted)
    assert asked
    assert read_rows(tmp_path / "parted")[["x", "country"]].to_numpy().tolist() == [[1, "DE"]]
