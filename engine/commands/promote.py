"""`evalmatrix promote`: an alias is moved on evidence, or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.audit_trail import trail
from engine.commands.outcome import tracking_uri
from engine.commands.redacted import redacted
from engine.commands.stored_runs import open_store
from engine.core.identity import user_name
from engine.errors import InputError
from engine.lifecycle.candidates import CHALLENGER
from engine.lifecycle.durations import parse_duration
from engine.lifecycle.moving import check_target
from engine.lifecycle.promotion import promote_version
from engine.lifecycle.request import Office, PromotionResult, Request
from engine.lifecycle.rollback import roll_back
from engine.lifecycle.sagemaker import approve_version, check_arn, make_client
from engine.models.registry import ModelName, Registry
from engine.planning.model_finder import short_waits
from engine.planning.suites import read_suite
from engine.store.audit import Act, Departure

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def promote(
    model: str,
    *,
    suite: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    to: str = "champion",
    to_model: str | None = None,
    sagemaker: str | None = None,
    max_age: str = "7d",
    undecided: float = 0.1,
    first: bool = False,
    rollback: bool = False,
    dry_run: bool = False,
    reason: str = "",
    spark: SparkSession | None = None,
) -> PromotionResult:
    """Moves an alias to a model version, if the newest verdict on exactly this version says so.

    Args:
        model: the registered model, NAME@ALIAS or NAME/VERSION; NAME alone is its challenger.
        suite: the suite whose verdicts count; its store and its tracking server are looked at.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        to: the alias to move.
        to_model: another registered model, which gets a copy of the version, and whose alias moves.
        sagemaker: the ARN of a model package, which is approved, or rejected if its verdict failed,
            instead of an alias being moved.
        max_age: how old the verdict may be, such as 24h or 7d.
        undecided: the largest share of the judged cells that may be undecided, from 0 to 1.
        first: the model has no such alias yet, so there is nothing to compare with; a verdict is
            demanded all the same.
        rollback: move the alias back to the version that it had before.
        dry_run: say what would happen and why; nothing is changed.
        reason: why, in your words, for the record.
        spark: the session to use.

    Raises:
        InputError: when there is no such model, version, alias or data, or the arguments are at
            odds.
        StoreError: when the store or the registry is out of reach; the next call goes on.
    """
    name = ModelName.parse(model)
    if name.version is None and name.alias is None and not rollback:
        name = replace(name, alias=CHALLENGER)
    check_target(to)
    if not 0 <= undecided <= 1:
        raise InputError(f"found undecided {undecided!r}, expected a share from 0 to 1")
    request = Request(
        model=name,
        alias=to,
        to_model=None if to_model is None else _other_model(to_model, name),
        max_age=parse_duration(max_age, "max-age"),
        undecided=undecided,
        first=first,
        dry_run=dry_run,
        reason=" ".join(reason.split()),
        user=user_name(),
    )
    if rollback:
        _check_rollback(request, sagemaker)
    if sagemaker is not None:
        _check_sagemaker(request, sagemaker)
    loaded = read_suite(suite, tuple(overrides))
    tables = open_store(loaded.store, spark)
    short_waits()
    registry = Registry(tracking_uri(loaded, tables.store))
    with tempfile.TemporaryDirectory(prefix="evalmatrix-promote-") as folder:
        office = Office(loaded, tables, registry, Path(folder))
        command = "rollback" if rollback else "promote"
        about = {"model": model, "alias": to, **({"dry_run": True} if dry_run else {})}
        act = Act(command, loaded.name, about=about)
        with trail(tables, act) as acts:
            result = _move(office, request, sagemaker, rollback=rollback)
            acts[0] = replace(act, outcome=result.ending.value,
                              about={**about, "version": result.version},
                              departures=_departures(result, sagemaker))  # fmt: skip
        return result


def _move(
    office: Office, request: Request, sagemaker: str | None, *, rollback: bool
) -> PromotionResult:
    if rollback:
        return roll_back(office, request)
    if sagemaker is not None:
        return approve_version(office, request, sagemaker, make_client(sagemaker))
    return promote_version(office, request)


def _departures(result: PromotionResult, sagemaker: str | None) -> tuple[Departure, ...]:
    """What a promotion told a registry elsewhere."""
    if sagemaker is None or result.dry_run:
        return ()
    return (Departure("an approval", f"SageMaker, {sagemaker}"),)


def _other_model(text: str, name: ModelName) -> str:
    other = ModelName.parse(text)
    if other.version is not None or other.alias is not None:
        raise InputError(f"found to_model {text!r}, expected the name of a registered model alone")
    if other.name == name.name:
        raise InputError(f"found to_model {text!r}, which is the model itself; leave it out")
    return other.name


def _check_sagemaker(request: Request, arn: str) -> None:
    check_arn(arn)
    if request.to_model is not None:
        raise InputError("found --to-model with --sagemaker; expected one of them")


def _check_rollback(request: Request, sagemaker: str | None) -> None:
    """Refuses what says nothing beside a rollback."""
    model = request.model
    odd = {
        "a version or an alias behind the model's name": model.version or model.alias,
        "--to-model": request.to_model,
        "--first": request.first,
        "--sagemaker": sagemaker,
    }
    for what, given in odd.items():
        if given:
            raise InputError(
                f"found {what} with --rollback, which goes back to the version before; expected "
                "the model's name alone, and --to with the alias"
            )
