"""What is known of a model's files, in words: their formats, and who vouches for them."""

from __future__ import annotations

from engine.core.vocabulary import UNKNOWN, ModelVersion
from engine.sinks import format as fmt

_MOST_IMPORTS = 6


def trust_text(model: ModelVersion) -> str:
    """One line on the files of a model; "" of one that has none."""
    known = model.credentials
    if known == UNKNOWN:
        return ""
    parts = [_formats_text(model), _registry_text(model)]
    if known.signed:
        parts.append("signed by the suite's key")
    if known.imports:
        more = len(known.imports) > _MOST_IMPORTS
        named = ", ".join(fmt.one_line(name, 60) for name in known.imports[:_MOST_IMPORTS])
        parts.append(f"its pickle imports {named}{', ...' if more else ''} (a hint, no verdict)")
    if known.refusal:
        parts.append(fmt.one_line(known.refusal, 500))
    return "; ".join(part for part in parts if part)


def _formats_text(model: ModelVersion) -> str:
    formats = model.credentials.formats
    if not formats:
        return "files of no format that is loaded"
    runs = not model.refusal and any(kind.runs_code for kind in formats)
    return f"files: {', '.join(formats)}{' (code is run when they are loaded)' if runs else ''}"


def _registry_text(model: ModelVersion) -> str:
    known = model.credentials
    if known.registered:
        return "digest as it was registered"
    if known.registered is None and model.registered_name:
        return "no digest noted when it was registered"
    return ""
