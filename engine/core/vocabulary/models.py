"""Model versions, and the columns and tensors that they take."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.core.vocabulary.enums import Output, TaskKind
from engine.core.vocabulary.plain import LATER
from engine.core.vocabulary.trust import UNKNOWN, Credentials

Label = bool | int | float | str

STORED = "columns"
"""The flavour of a model whose predictions are there already, in the dataset or in a table."""

TRIVIAL = "trivial"
"""The flavour of a model that is fitted on the reference, for others to be better than."""

ENDPOINT = "endpoint"
"""The flavour of a model that is served: a URL answers for it."""


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One named column of a model, with the type its signature asks for; some may be lacking."""

    name: str
    type: str | None = None
    optional: bool = field(default=False, metadata=LATER)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input tensor of a model; `shape` is without the row axis, -1 where it is free."""

    name: str | None
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PredictionsTable:
    """A Delta table of predictions at a version; those of a row are found by the columns `key`.

    `epoch` names the versions that have the same predictions for the rows that were there by then:
    what was computed of these holds.
    """

    uri: str
    version: int
    table_id: str
    key: tuple[str, ...]
    epoch: str = ""

    def column(self, name: str) -> str:
        """The name that one of its columns has in a scan, which no column of a dataset can have."""
        return f"\0{name} by {', '.join(self.key)} of {self.table_id}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served, and how it may be asked.

    `headers` are templates: `${NAME}` in them is a variable of the environment in which a request
    is sent, so that no secret is held here.

    Attributes:
        url: where the server is; a path behind it stays.
        protocol: which of `engine.serving.PROTOCOLS` it speaks.
        model: what the server calls the model, where its protocol has names.
        timeout: the seconds that an answer may take, from the first byte sent to the last read.
        retries: how often a request is sent again that did not reach a server which could answer.
        concurrency: how many requests of a process are under way at once.
        batch: the most rows of a request.
        rate: the most requests in a second of all processes of a machine; None for no limit.
    """

    url: str
    protocol: str
    model: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 30.0
    retries: int = 2
    concurrency: int = 1
    batch: int = 100
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable candidate: where it lies, and what the engine needs to know of it.

    `digest` is the SHA-256 of the artifact's files; `path` the folder that a worker loads.
    `classes` are a classifier's labels, in the order of the evaluation's (empty for regression).
    `inputs` are the signature's columns or tensors in its order (empty without a signature);
    `features` the dataset columns that fill them, in order.

    Attributes:
        own_classes: the classes as the model itself calls them, in the order of its own scores;
            empty where they are `classes`.
        places: which of `classes` each of `own_classes` is.
        class_source: in a few words, how the classes of the scores are known.
        outputs: the named columns that the signature says it returns.
        score_columns: those of them that have the scores, where the suite names them.
        label_column: the one that has the label, where the suite names it.
        decides: whether its labels are told by itself beside its scores, because they need not
            be those of the largest score.
        unsure: whether that is still to be seen.
        squashed: whether its scores are those of a decision function that nobody has said to be
            logits: they rank rows, and are no probabilities.
        table: the table that has its predictions; the dataset has them where there is none.
        content: all of a trivial model, as JSON: it lies in no folder.
        credentials: what is known of its files before they are opened, and whether they may be.
        endpoint: where it is served, of a model that is asked over a network.
    """

    name: str
    uri: str
    version: str | None
    digest: str
    path: str
    flavor: str
    task: TaskKind
    output: Output
    classes: tuple[Label, ...] = ()
    inputs: tuple[ColumnSpec, ...] | tuple[TensorSpec, ...] = ()
    features: tuple[str, ...] = ()
    registered_name: str | None = None
    model_id: str | None = None
    own_classes: tuple[Label, ...] = field(default=(), metadata=LATER)
    places: tuple[int, ...] = field(default=(), metadata=LATER)
    class_source: str = field(default="", metadata=LATER)
    outputs: tuple[ColumnSpec, ...] = field(default=(), metadata=LATER)
    score_columns: tuple[str, ...] = field(default=(), metadata=LATER)
    label_column: str | None = field(default=None, metadata=LATER)
    decides: bool = field(default=False, metadata=LATER)
    squashed: bool = field(default=False, metadata=LATER)
    unsure: bool = field(default=False, metadata=LATER)
    table: PredictionsTable | None = field(default=None, metadata=LATER)
    content: str = field(default="", metadata=LATER)
    credentials: Credentials = field(default=UNKNOWN, metadata=LATER)
    endpoint: Endpoint | None = field(default=None, metadata=LATER)

    @property
    def is_endpoint(self) -> bool:
        """Whether it is served, and asked over a network."""
        return self.endpoint is not None

    @property
    def refusal(self) -> str:
        """Why it must not be opened; "" where it may."""
        return self.credentials.refusal

    @property
    def is_trivial(self) -> bool:
        """Whether it is fitted on the reference, and no candidate."""
        return self.flavor == TRIVIAL

    @property
    def trivial_kind(self) -> str:
        """Which trivial model it is, such as `stump`; "" of others."""
        return self.uri.partition(":")[2] if self.is_trivial else ""

    @property
    def is_constant(self) -> bool:
        """Whether it is a trivial model that says the same of every row."""
        return self.is_trivial and not self.features

    @property
    def is_stored(self) -> bool:
        """Whether its predictions are there already: there is nothing to load."""
        return self.flavor == STORED

    @property
    def asked_twice(self) -> bool:
        """Whether each row is predicted for its scores and again for its label."""
        return self.decides and self.label_column is None

    @property
    def calls(self) -> int:
        """How often a row is predicted: once, twice for scores and labels, never where it was."""
        return 0 if self.is_stored or self.is_constant else 2 if self.asked_twice else 1

    @property
    def reading(self) -> list[object]:
        """What its predictions of rows depend on; what is as it always was has no entry."""
        later = {
            "own_classes": self.own_classes,
            "places": self.places,
            "score_columns": self.score_columns,
            "label_column": self.label_column,
            "decides": self.decides,
            "squashed": self.squashed,
            # What was computed when it was trusted is not its own any more.
            "refusal": self.refusal,
        }
        more = {name: value for name, value in later.items() if value}
        own: list[object] = [self.digest, self.output, self.classes, self.inputs, self.features]
        return [*own, more] if more else own


NO_MODEL = ModelVersion("", "", None, "", "", "", TaskKind.REGRESSION, Output.VALUE)
"""What stands in a cell of the data in the place of a model."""
