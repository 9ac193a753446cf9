"""The answers that a store keeps: what queries and probes found, beside the states.

An answer is a row of the states table that holds no state. A run's own is found by its place,
another's by its name and the dataset version; failures are of their own run alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from engine.core.vocabulary import Numbers
from engine.delta.filters import Filter
from engine.planning import EvaluationPlan, Question, QuestionPlace
from engine.states.rows import ANSWER, MERGED_SCHEMA, STATES_VERSION
from engine.store.tables import StoreTable


@dataclass(frozen=True, slots=True)
class Answer:
    """The numbers of each slice by its key, and the texts of some; or why there are none."""

    slices: Mapping[str, Numbers] = field(default_factory=dict)
    failure: str | None = None
    texts: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    def encode(self) -> bytes:
        about: dict[str, Any] = {"slices": self.slices, "failure": self.failure}
        about |= {"texts": self.texts} if self.texts else {}
        return json.dumps(about, ensure_ascii=False, sort_keys=True, allow_nan=False).encode()

    @classmethod
    def decode(cls, payload: bytes) -> Answer:
        """The answer that `encode` wrote.

        Raises:
            ValueError: when it wrote something else.
        """
        about = json.loads(payload)
        if not isinstance(about, dict) or about.keys() - {"texts"} != {"slices", "failure"}:
            raise ValueError("found no answer")
        return cls(about["slices"], about["failure"], about.get("texts", {}))


Answers = Mapping[QuestionPlace, Answer]


def find_answers(
    table: StoreTable,
    plan: EvaluationPlan,
    asked: Sequence[Question],
    *,
    run_id: str,
    where: Sequence[Filter] = (),
) -> tuple[dict[QuestionPlace, Answer], dict[QuestionPlace, Answer]]:
    """What is kept of the questions of a run's evaluation: by the run itself, and by others.

    `where` leaves out rows of the states table.
    """
    own: dict[QuestionPlace, Answer] = {}
    others: dict[QuestionPlace, Answer] = {}
    if not asked or not table.exists() or "state" not in table.columns():
        return own, others
    about: list[Filter] = [
        *where,
        ("dataset_id", "=", plan.dataset.table_id),
        ("dataset_version", "=", plan.dataset.version),
        ("schema_version", "=", STATES_VERSION),
        ("model_digest", "in", sorted({question.subject.digest for question in asked})),
        ("family", "=", ANSWER),
    ]
    names = ["run_id", "evaluation", "created_at", "state", "model", "slice_keys", "payload"]
    rows = table.rows(names, about, spares=True).to_pylist()
    rows.sort(key=lambda row: (row["created_at"], row["run_id"], row["evaluation"]))
    named = {row["state"]: row["payload"] for row in reversed(rows) if row["state"] is not None}
    placed = {
        (row["model"], *row["slice_keys"]): row["payload"]
        for row in rows
        if (row["run_id"], row["evaluation"]) == (run_id, plan.name)
    }
    for question in asked:
        into, payload = own, placed.get(question.place)
        if payload is None and question.name is not None:
            into, payload = others, named.get(question.name)
        # What is damaged is no answer: it is found anew.
        with suppress(ValueError):
            if payload is not None:
                into[question.place] = Answer.decode(payload)
    return own, others


def answer_rows(answers: Sequence[tuple[Question, Answer]]) -> pa.Table:
    """Answers as rows of the states table (`MERGED_SCHEMA`)."""
    rows = [
        {
            "slice_set": "",
            "block": 0,
            "blocks": 1,
            "model": question.subject.number,
            "family": ANSWER,
            "state": question.name if answer.failure is None else None,
            "slice_keys": [question.slice_set.name, question.key],
            "payload": answer.encode(),
        }
        for question, answer in answers
    ]
    return pa.Table.from_pylist(rows, MERGED_SCHEMA)
