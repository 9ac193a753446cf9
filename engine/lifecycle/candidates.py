"""The suite of a new model version: the one in the file, with that version for its candidates.

A suite names models by aliases and numbers that were right when it was written. What is evaluated
of a registered model's new version is the same suite with this version, beside the baseline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.errors import InputError
from engine.suite import Evaluation, ModelSource, Suite

CHAMPION, CHALLENGER = "champion", "challenger"

_REGISTERED = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))/?")


@dataclass(frozen=True, slots=True)
class RegisteredUri:
    """A model of a registry as a URI names it: by a version, `latest` among them, or an alias."""

    name: str
    version: str | None
    alias: str | None


def read_uri(uri: str) -> RegisteredUri | None:
    """What a URI says of a registered model; None for every other one."""
    match = _REGISTERED.fullmatch(uri)
    return None if match is None else RegisteredUri(**match.groupdict())


def registered_names(suite: Suite) -> list[str]:
    """The registered models of which a suite may get new versions, in its order.

    These are its candidates; of an evaluation whose only registered model is the baseline, that.
    """
    names: dict[str, None] = {}
    for evaluation in suite.evaluations:
        names.update(dict.fromkeys(_names(evaluation)))
    return list(names)


def _names(evaluation: Evaluation) -> list[str]:
    uris = {source.name: read_uri(source.uri) for source in evaluation.models}
    candidates = [uri.name for name, uri in uris.items() if uri and name != evaluation.baseline]
    return candidates or [uri.name for uri in uris.values() if uri]


def champion_alias(suite: Suite, name: str) -> str:
    """The alias by which a suite's baselines name the version of a model that is in use."""
    for evaluation in suite.evaluations:
        for source in evaluation.models:
            uri = read_uri(source.uri)
            if source.name == evaluation.baseline and uri and uri.name == name and uri.alias:
                return uri.alias
    return CHAMPION


def suite_of(suite: Suite, name: str, version: str, aliases: Mapping[str, str]) -> Suite:
    """The suite that evaluates a version of a registered model beside the baseline.

    Of each evaluation that may have this model stay the baseline and the version, in the place of
    the candidates. An alias of the model becomes the version that it names now, so that it cannot
    move meanwhile; a baseline whose alias names none yet, or this very version, is the version
    itself, which is judged alone.

    Args:
        suite: the suite as its file has it.
        name: the registered model.
        version: its version.
        aliases: the model's aliases with the versions that they name.

    Raises:
        InputError: when no evaluation has the model.
    """
    evaluations = tuple(
        replace(evaluation, models=_models(evaluation, name, version, aliases))
        for evaluation in suite.evaluations
        if name in _names(evaluation)
    )
    if not evaluations:
        listed = ", ".join(map(repr, registered_names(suite))) or "none"
        raise InputError(
            f"the suite {suite.name!r} evaluates no registered model {name!r}; its registered "
            f"models: {listed}"
        )
    return replace(suite, evaluations=evaluations)


def _models(
    evaluation: Evaluation, name: str, version: str, aliases: Mapping[str, str]
) -> tuple[ModelSource, ...]:
    """The baseline and the version, or the version alone where it is the baseline."""
    own = [source for source in evaluation.models if _is_of(source, name)]
    candidates = [source for source in own if source.name != evaluation.baseline]
    candidate = replace((candidates or own)[0], uri=f"models:/{name}/{version}")
    for source in evaluation.models:
        if source.name != evaluation.baseline:
            continue
        pinned = _pin(source, name, aliases)
        if pinned is None or pinned.uri == candidate.uri:
            # Under the baseline's name, so that the suite's tests mean it.
            return (replace(source, uri=candidate.uri),)
        if not candidates:
            candidate = replace(candidate, name=_free_name(f"{name}-v{version}", pinned.name))
        return (pinned, candidate)
    return (candidate,)


def _is_of(source: ModelSource, name: str) -> bool:
    uri = read_uri(source.uri)
    return uri is not None and uri.name == name


def _pin(source: ModelSource, name: str, aliases: Mapping[str, str]) -> ModelSource | None:
    """The baseline by its version; None where it is an alias of the model that names none."""
    uri = read_uri(source.uri)
    if uri is None or uri.name != name or uri.alias is None:
        return source
    version = aliases.get(uri.alias)
    return None if version is None else replace(source, uri=f"models:/{name}/{version}")


def _free_name(name: str, taken: str) -> str:
    return f"{name} (candidate)" if name == taken else name
