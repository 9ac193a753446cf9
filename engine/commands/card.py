"""`evalmatrix card`: papers about a model version, from the numbers of its evaluation."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.audit_trail import note_act
from engine.commands.model_place import find_place
from engine.commands.redacted import redacted
from engine.commands.stored_runs import utc
from engine.core.locations import DEFAULT_STORE
from engine.core.vocabulary import NO_MODEL
from engine.delta.records import records
from engine.errors import InputError, StoreError, TrackingError
from engine.lifecycle.evidence import Evidence, by_run, find_evidence
from engine.lifecycle.story import tell_story
from engine.models.registry import ModelName, Registry
from engine.planning import load_plans
from engine.sinks.papers.bom import bill_of_materials, library_versions
from engine.sinks.papers.card import model_card
from engine.sinks.papers.facts import Facts, Judgement, Origin
from engine.sinks.papers.markdown import page
from engine.sinks.papers.pdf import find_browser, print_page
from engine.sinks.papers.technical import technical_file
from engine.store import results as results_sink
from engine.store.audit import Act, Departure
from engine.store.runs import find_run
from engine.store.tables import StoreTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MOST_PARAMS = 100


@dataclass(frozen=True, slots=True)
class Papers:
    """The papers about a version: where they are, and on which run they rest.

    `files` are by what they are: card, bom, technical, page, pdf. `notes` say what could not be
    asked.
    """

    model: str
    version: str
    run_id: str
    gate: str
    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


@redacted()
def card(
    model: str,
    *,
    suite: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    tracking_uri: str | None = None,
    out: str | Path | None = None,
    pdf: bool = False,
    spark: SparkSession | None = None,
) -> Papers:
    """Writes a model card, a bill of materials and a technical file about a registered version.

    All figures are those of the newest finished run that judged the version.

    Args:
        model: the registered version: NAME/VERSION or NAME@ALIAS.
        suite: the suite whose newest run counts, with its store and tracking server; else any.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        store: the store's root, where no suite is given.
        tracking_uri: the tracking server; default: the suite's, or the one in the store.
        out: the folder; default: cards/NAME/VERSION in the store.
        pdf: prints the technical file as PDF too, by a browser of this machine.
        spark: the session to use.

    Raises:
        InputError: when there is no such store, version or run, or no browser for a PDF.
        StoreError: when a table cannot be read or a file not be written.
    """
    name = ModelName.parse(model)
    if name.version is None and name.alias is None:
        raise InputError(f"found the model {model!r}, expected NAME/VERSION or NAME@ALIAS")
    browser = find_browser() if pdf else None
    place = find_place(suite, overrides, store, tracking_uri, spark)
    tables, registry = place.tables, place.registry
    with tempfile.TemporaryDirectory(prefix="evalmatrix-card-") as folder:
        version = name.version or registry.find(name, Path(folder))
        known = ModelName(name.name, version)
        judged = _newest(tables, known, None if place.suite is None else place.suite.name)
        facts, notes = _facts(tables, registry, judged, Path(folder))
    target = Path(out) if out is not None else tables.store.card_folder(facts.name, facts.version)
    files = _write(facts, target, browser)
    about = {"model": facts.name, "version": facts.version}
    left = () if out is None else (Departure("a model card and its papers", str(target)),)
    note_act(tables, Act("card", facts.suite, facts.run_id, facts.gate, about, left))
    return Papers(facts.name, facts.version, facts.run_id, facts.gate, files, notes)


def _newest(tables: StoreTables, model: ModelName, suite: str | None) -> list[Evidence]:
    """What the newest finished run says of the version."""
    runs = by_run(find_evidence(tables, model.name, model.version, suite))
    if not runs:
        by = "" if suite is None else f" of the suite {suite!r}"
        raise InputError(
            f"no finished run{by} in {tables.store.root!r} has judged {model.name!r} version "
            f"{model.version}; `evalmatrix run SUITE.yml` or `evalmatrix watch` makes one"
        )
    return runs[-1]


def _facts(
    tables: StoreTables, registry: Registry, judged: Sequence[Evidence], folder: Path
) -> tuple[Facts, tuple[str, ...]]:
    first = judged[0]
    row = find_run(tables["runs"], first.run_id)
    assert row is not None, "its evidence was read from it"
    plans = {plan.name: plan for plan in load_plans(str(row["evaluations"]))}
    rows = records(results_sink.read_results(tables["results"], first.run_id))
    judgements = []
    for item in judged:
        plan = plans[item.evaluation]
        model = next(model for model in plan.models if model.name == item.model)
        own = [
            cell
            for cell in rows
            if cell["evaluation"] == plan.name and cell["model"] in (model.name, NO_MODEL.name)
        ]
        judgements.append(Judgement(plan, model, item.gate.outcome.value, item.gate.reason, own))
    about = first.version
    notes: list[str] = []
    origin, aliases = Origin(), tuple[str, ...]()
    try:
        origin = _origin(registry, about.name, about.version)
        aliases = tuple(
            alias for alias, v in registry.aliases(about.name).items() if v == about.version
        )
    except TrackingError as error:
        notes.append(f"{error}; the papers have what the store knows")
    story = tell_story(tables, registry, ModelName(about.name, about.version), folder)
    facts = Facts(
        name=about.name,
        version=about.version,
        digest=about.digest,
        run_id=first.run_id,
        suite=first.suite,
        suite_text=str(row["suite_resolved"]),
        started_at=utc(row["started_at"]),
        finished_at=utc(row["finished_at"]),
        user=first.user,
        libraries=library_versions(dict(row["versions"] or {})),
        judgements=tuple(judgements),
        origin=origin,
        aliases=aliases,
        events=tuple((e.at, e.kind.value, f"{e.outcome} {e.text}".strip(), e.user)
                     for e in story.events),
    )  # fmt: skip
    return facts, tuple(notes)


def _origin(registry: Registry, name: str, version: str) -> Origin:
    """What the registry and the run of its training tell of a version."""
    details = next((v for v in registry.versions(name) if str(v.version) == version), None)
    if details is None:
        return Origin()
    run = registry.run(details.run_id) if details.run_id else None
    tags = {} if run is None else dict(run.data.tags)
    params = {} if run is None else dict(sorted(run.data.params.items())[:_MOST_PARAMS])
    return Origin(
        description=str(details.description or ""),
        tags=dict(details.tags or {}),
        registered_at=dt.datetime.fromtimestamp(details.creation_timestamp / 1000, dt.UTC),
        registered_by=str(details.user_id or ""),
        training_run=str(details.run_id or ""),
        params=params,
        commit=tags.get("mlflow.source.git.commit", ""),
    )


def _write(facts: Facts, folder: Path, browser: str | None) -> dict[str, str]:
    technical = technical_file(facts)
    bom = json.dumps(bill_of_materials(facts), indent=2, ensure_ascii=False, allow_nan=False)
    texts = {
        "card": ("README.md", model_card(facts)),
        "bom": ("mlbom.json", bom + "\n"),
        "technical": ("technical.md", technical),
        "page": ("technical.html", page(technical, f"Technical file: {facts.title}")),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.values():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"the papers cannot be written to {str(folder)!r}: {error.strerror}"
        ) from error
    files = {what: str(folder / name) for what, (name, _) in texts.items()}
    if browser is not None:
        files["pdf"] = str(folder / "technical.pdf")
        print_page(browser, Path(files["page"]), Path(files["pdf"]))
    return files
