"""Which models a suite lets be loaded, and what is known of a model before anybody opens it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.vocabulary.enums import ModelFormat


@dataclass(frozen=True, slots=True)
class Trust:
    """Which models are loaded; what is empty asks nothing.

    Attributes:
        formats: the formats that a model may consist of.
        signed_by: the file of the public key by which a model has to be signed.
        registries: globs, of which one has to fit `<tracking URI>/<registered name>`.
    """

    formats: tuple[ModelFormat, ...] = ()
    signed_by: str | None = None
    registries: tuple[str, ...] = ()


ANY_MODEL = Trust()
"""Whatever was logged or registered is loaded."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known of a model's files, none of which was opened for it.

    Attributes:
        formats: what they are.
        imports: what a pickle among them imports when it is loaded: a hint, no verdict.
        signed: whether they are signed by the suite's key.
        registered: whether they are those that were registered; None where nobody noted them.
        refusal: why the model is not trusted; "" where it is.
    """

    formats: tuple[ModelFormat, ...] = ()
    imports: tuple[str, ...] = ()
    signed: bool = False
    registered: bool | None = None
    refusal: str = ""


UNKNOWN = Credentials()
"""Of a model whose files nobody has looked at, or that has none."""
