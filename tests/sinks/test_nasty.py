"""Runs in which everything has a nasty name: every sink shows it, and nothing comes out of it."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from markdown_it import MarkdownIt
from rich.console import Console

from engine.core.vocabulary import (
    Cell,
    Condition,
    ConfusionMatrix,
    Curve,
    ModelTest,
    RunOutcome,
    Slice,
    Verdict,
)
from engine.sinks import console, github, junit, listing, report
from engine.sinks import format as fmt
from engine.sinks.mlflow.metric_keys import model_numbers, numbers_by_key
from engine.sinks.report.figures import pictures, save_png
from engine.store.results import cells_table

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow.utils.validation import _validate_metric_name

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
Names = Callable[[str], str]

FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def all_named(names: Names, cell_of: Cells, run_of: Runs) -> RunOutcome:
    """A run of two models, three slices and two tests; `names(part)` is the name of a part."""
    models = [names("model 1"), names("model 2")]
    tests = [
        ModelTest(names("test 1"), "recall", (Condition("min", 0.85),)),
        ModelTest(names("test 2"), "gap", (Condition("max", 0.5),), group=names("group")),
    ]
    slices = [
        Slice("overall", "overall", "overall"),
        Slice(names("slice 1"), "by", names("set"), ((names("column"), names("value 1")),)),
        Slice(names("slice 2"), "by", names("set"), ((names("column"), None),)),
    ]
    compared = {
        "baseline_model": models[0],
        "baseline_value": 0.8,
        "delta": -0.05,
        "delta_ci_low": -0.07,
        "delta_ci_high": -0.03,
        "p_value": 0.001,
        "q_value": 0.002,
    }
    verdicts = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR)
    cells = [
        cell_of(
            model=model,
            slice=where,
            test=test,
            verdict=verdict,
            reason=names("reason"),
            evaluation=names("evaluation"),
            variant="clean" if where.kind == "overall" else names("variant"),
            **(compared if model == models[1] else {}),
        )
        for model in models
        for where, verdict in zip(slices, verdicts, strict=True)
        for test in tests
    ]
    run = run_of(cells, suite=names("suite"), reason=names("gate"))
    of = run.evaluations[0]
    data = replace(of.dataset, name=names("dataset"), uri=names("table"))
    of = replace(
        of,
        name=names("evaluation"),
        dataset=data,
        baseline=models[0],
        model_errors={models[1]: names("error")},
        timings={names("step"): 1.0},
    )
    info = replace(
        run.info,
        store=names("store"),
        user=names("user"),
        suite_resolved=names("resolved"),
        versions={names("library"): names("version")},
    )
    return replace(run, info=info, evaluations=[of])


def behind(text: str) -> Names:
    """Names that begin with a text, and are each their own."""
    return lambda part: f"{text}{part}"


class Skeleton(HTMLParser):
    """The structure of a page, and the texts in it, read as a browser would."""

    FREE = frozenset({"title", "aria-label", "data-label"})

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[object] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kept = [(name, None if name in self.FREE else value) for name, value in attrs]
        self.parts.append((tag, kept))
        self.texts += [value or "" for name, value in attrs if name in self.FREE]

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(tag)

    def handle_comment(self, data: str) -> None:
        self.parts.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.parts.append(("declaration", decl))

    def unknown_decl(self, data: str) -> None:
        self.parts.append(("declaration", data))

    def handle_pi(self, data: str) -> None:
        self.parts.append(("instruction", data))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def check_report(text: str, cell_of: Cells, run_of: Runs) -> None:
    made = report.render(all_named(behind(text), cell_of, run_of))
    page = Skeleton(made.encode("utf-8", "replace").decode())
    tame = Skeleton(report.render(all_named(behind("x"), cell_of, run_of)))
    assert page.parts == tame.parts, f"{text!r} changes the page"
    shown = [" ".join(each.split()) for each in page.texts]
    for part in ("suite", "evaluation", "model 1", "slice 1", "test 1", "gate", "reason", "error"):
        whole = fmt.one_line(f"{text}{part}").encode("utf-8", "replace").decode()
        assert any(" ".join(whole.split()) in each for each in shown), part


def test_a_page_has_the_same_parts_whatever_the_names(
    nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    # All in one name first: only where that is not told alike each is tried by itself.
    for texts in (nasty.CURATED[::3], nasty.CURATED[1::3], nasty.CURATED[2::3], nasty.SURROGATES):
        check_report(" ".join(texts), cell_of, run_of)
    for text in [*nasty.HTML, *nasty.HUGE]:
        check_report(text, cell_of, run_of)


@FEW
@given(data=st.data())
def test_any_name_leaves_a_page_as_it_is(
    data: st.DataObject, nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    check_report(data.draw(nasty.texts(surrogates=True)), cell_of, run_of)


def drawn(text: str, cell_of: Cells, run_of: Runs) -> RunOutcome:
    """A run with pictures, whose models and classes have a name."""
    run = all_named(behind(text), cell_of, run_of)
    models = [model.name for model in run.evaluations[0].models]
    labels = (f"{text}no", f"{text}yes")
    curves = [
        Curve("roc", m, "overall", [0, 0.5, 1], [0, 0.7, 1], c) for m in models for c in labels
    ]
    confusion = [ConfusionMatrix(m, "overall", labels, ((1.0, 2.0), (3.0, 4.0))) for m in models]
    of = replace(run.evaluations[0], curves=curves, confusion=confusion)
    return replace(run, evaluations=[of])


SVG_TAGS = {
    "svg",
    "defs",
    "style",
    "g",
    "path",
    "use",
    "text",
    "clippath",
    "rect",
    "image",
    "tspan",
}


def test_pictures_show_names_and_no_more(
    nasty: ModuleType, cell_of: Cells, run_of: Runs, tmp_path: Path
) -> None:
    for text in ['id="x" url(#a)', '"><script>a</script>', "$x^2$ \\alpha {{7}}", "--> ]]>",
                 "_hidden", "a\x00b\n\ud800", "👩‍👩‍👧‍👦", "x" * 10_000]:  # fmt: skip
        of = drawn(text, cell_of, run_of).evaluations[0]
        for picture in pictures(of, "p"):
            page = Skeleton(picture.svg)
            tags = {part[0] for part in page.parts if isinstance(part, tuple)}
            assert tags <= SVG_TAGS, tags
            assert fmt.one_line(f"{text}model 1", 34)[:8] in " ".join(page.texts)
            for tag, attributes in (part for part in page.parts if isinstance(part, tuple)):
                named = dict(attributes)
                assert not any(name.startswith("on") for name in named), (tag, named)
                if "xlink:href" in named:
                    assert named["xlink:href"].startswith("#p-")
        assert all(path.parent == tmp_path for path in save_png(of, tmp_path))
    assert 'id="x" url(#a)' in " ".join(
        Skeleton(first_picture('id="x" url(#a)', cell_of, run_of)).texts
    )


def first_picture(text: str, cell_of: Cells, run_of: Runs) -> str:
    return pictures(drawn(text, cell_of, run_of).evaluations[0], "p")[0].svg


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(Path(__file__).parent / "schemas" / "junit.xsd"))


def junit_names(run: RunOutcome, folder: Path, schema: etree.XMLSchema) -> list[tuple[str, str]]:
    root = etree.parse(junit.write(run, folder / "junit.xml")).getroot()
    schema.assertValid(root)
    assert not root.xpath("//comment() | //processing-instruction()")
    suites = [suite.get("name") for suite in root]
    assert len(set(suites)) == len(suites)
    return [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]


@FEW
@given(data=st.data())
def test_junit_names_are_distinct_and_the_same_each_night(
    data: st.DataObject, nasty: ModuleType, cell_of: Cells, run_of: Runs, tmp_path: Path,
    schema: etree.XMLSchema,
) -> None:  # fmt: skip
    given_names: dict[str, str] = {}

    def names(part: str) -> str:
        if part not in given_names:
            given_names[part] = f"{data.draw(nasty.texts(surrogates=True))}{part[-1]}"
        return given_names[part]

    run = all_named(names, cell_of, run_of)
    named = junit_names(run, tmp_path, schema)
    assert len(named) == len(run.cells) == len(set(named))
    other = replace(run, evaluations=[replace(run.evaluations[0], cells=run.cells[::-1])])
    assert set(junit_names(other, tmp_path, schema)) == set(named)


def test_junit_marks_what_would_look_alike(
    cell_of: Cells, run_of: Runs, tmp_path: Path, schema: etree.XMLSchema
) -> None:
    pairs = [("a b", "t"), ("a  b", "t"), ("a\x00b", "t"), ("a/b", "c"), ("a", "b/c"), ("d", "t")]
    cells = [cell_of(slice_name=where, test=ModelTest(test, "f1")) for where, test in pairs]
    names = [name for _, name in junit_names(run_of(cells), tmp_path, schema)]
    assert names[-1] == "d/t"
    assert len(set(names)) == 6
    assert all(re.fullmatch(r"(a b/t|a/b/c) \[[0-9a-f]{8}\]", name) for name in names[:5])
    alone = [name for _, name in junit_names(run_of([cells[0], cells[5]]), tmp_path, schema)]
    assert alone == ["a b/t", "d/t"]


OURS = {"h3", "p", "ul", "li", "strong", "em", "table", "thead", "tbody", "tr", "th", "td"}
OURS |= {"code", "details", "summary"}


def check_summary(text: str, cell_of: Cells, run_of: Runs) -> None:
    source = github.render(all_named(behind(text), cell_of, run_of))
    source = source.encode("utf-8", "replace").decode()
    tame = github.render(all_named(behind("x"), cell_of, run_of))
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page, plain = Skeleton(parser.render(source)), Skeleton(parser.render(tame))
    assert page.parts == plain.parts, f"{text!r} changes the summary"
    assert len(source.encode()) < github.MAX_BYTES
    assert not re.search(r"::[a-z]|##\[|@[A-Za-z]|https?://|www\.", source)


def test_a_summary_has_the_same_parts_whatever_the_names(
    nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    for text in [*nasty.CURATED, *nasty.HUGE, *nasty.SURROGATES]:
        check_summary(text, cell_of, run_of)


@settings(parent=FEW, max_examples=60)
@given(data=st.data())
def test_any_name_leaves_a_summary_as_it_is(
    data: st.DataObject, nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    check_summary(data.draw(nasty.texts(surrogates=True)), cell_of, run_of)


def printed(run: RunOutcome, width: int) -> str:
    stream = io.StringIO()
    target = Console(file=stream, width=width, force_terminal=True, color_system=None)
    console.render(run, console=target, places={run.info.suite: run.info.store})
    return stream.getvalue()


def check_console(text: str, cell_of: Cells, run_of: Runs) -> None:
    run = all_named(behind(text), cell_of, run_of)
    for width in (40, 400):
        said = printed(run, width)
        acting = set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e]", said))
        assert not acting, acting
        commands = re.findall(r"^\s*::[a-z-]+(?: [^:]*)?::|##\[", said, re.MULTILINE)
        assert not commands, commands
    # Literally, but for commands, and cut where it is long.
    assert fmt.log_line(f"{text}suite", 60) in said


def test_a_terminal_shows_names_as_they_are(
    nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    for text in [*nasty.CURATED, *nasty.HUGE, *nasty.SURROGATES]:
        check_console(text, cell_of, run_of)
    assert fmt.log_line("::error file=x::y") == ": :error file=x::y"
    assert fmt.log_line("a ##[add-mask]b std::vector") == "a ## [add-mask]b std::vector"


@settings(parent=FEW, max_examples=40)
@given(data=st.data())
def test_any_name_is_shown_on_a_terminal(
    data: st.DataObject, nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    check_console(data.draw(nasty.texts(surrogates=True)), cell_of, run_of)


@settings(parent=FEW, max_examples=60)
@given(data=st.data())
def test_no_two_numbers_share_an_mlflow_key(
    data: st.DataObject, nasty: ModuleType, cell_of: Cells
) -> None:
    names = data.draw(st.lists(nasty.texts(), min_size=2, max_size=6, unique=True))
    groups = data.draw(st.lists(nasty.texts(), min_size=1, max_size=3, unique=True))
    tests = [ModelTest("recall", "recall")]
    tests += [ModelTest(group, "gap", group=group) for group in groups]
    slices = [Slice("overall", "overall", "overall")]
    slices += [Slice(name, "by", kind) for name in names for kind in ("a", "b")]
    cells = [cell_of(slice=where, test=test) for where in slices for test in tests]
    numbers = model_numbers(cells, 1000)
    distinct = {(n.parts, n.identity, n.is_slice) for n in numbers}
    found = numbers_by_key(numbers)
    assert len(found) == len(distinct)
    for key in found:
        _validate_metric_name(key)
        assert 0 < len(key) <= 250


def test_results_are_read_back_from_csv_and_json_as_they_are(
    nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    texts = [*nasty.CURATED, *nasty.HUGE]
    cells = [
        cell_of(slice=Slice(text, "by", text, ((text, text),)), reason=text, model=text)
        for text in texts
    ]
    run = run_of(cells, suite="x\r\ny")
    frame = cells_table(run.cells, run.info).to_pandas(maps_as_pydicts="strict")
    rows = list(csv.DictReader(io.StringIO(listing.csv(frame), newline="")))
    assert [row["slice"] for row in rows] == [row["reason"] for row in rows] == texts
    # Pandas' quick parser ends a text at a null character.
    back = pd.read_csv(io.StringIO(listing.csv(frame)), keep_default_na=False, engine="python")
    assert back["model"].tolist() == texts
    written = json.dumps(listing.json_records(frame), default=listing.json_value, allow_nan=False)
    assert written.isascii()
    records = json.loads(written)
    assert [record["slice"] for record in records] == texts
    assert [record["slice_columns"] for record in records] == [{text: text} for text in texts]


def test_a_table_of_results_shows_names_as_they_are(
    nasty: ModuleType, cell_of: Cells, run_of: Runs
) -> None:
    texts = [text for text in nasty.CURATED if text.strip() and len(text) < 40]
    cells = [cell_of(slice=Slice(text, "by", "x"), reason="r") for text in texts]
    run = run_of(cells)
    frame = cells_table(run.cells, run.info).to_pandas(maps_as_pydicts="strict")
    stream = io.StringIO()
    target = Console(file=stream, width=4_000, force_terminal=True, color_system=None)
    target.print(listing.results(frame))
    lines = stream.getvalue().splitlines()[1:]
    assert len(lines) == len(texts)
    for line, text in zip(lines, texts, strict=True):
        assert fmt.log_line(text) in line


def test_no_text_is_curated_twice(nasty: ModuleType) -> None:
    assert max(Counter(nasty.CURATED).values()) == 1
