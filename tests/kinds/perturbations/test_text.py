"""Perturbations of text: which words they change and to what, on any partitioning."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from engine.core.vocabulary import Columns, TaskKind
from engine.kinds import Setting
from engine.kinds.perturbations import PERTURBATIONS, perturb
from engine.kinds.perturbations.typos import NEIGHBOURS
from engine.metrics import Problem

KEYS = ("typos", "case", "punctuation", "dropped_words")
WORDS = ["claim", "Refund", "late.", "(why)", "PAID", "please,", "order", "don't"]


def hashes(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, rows)


def texts_of(rows: int = 400, words: int = 20, seed: int = 3) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, words)) for _ in range(rows)]


def change(key: str, severity: int, texts: list[str | None], rows: np.ndarray) -> list[str | None]:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    changed = perturb(batch, rows, PERTURBATIONS.get(key).variant(["text"], severity, {}))
    assert changed.schema.types == batch.schema.types
    return changed.column(0).to_pylist()


@pytest.mark.parametrize("key", KEYS)
def test_a_text_is_changed_alike_in_any_batch(key: str) -> None:
    texts, rows = texts_of(90), hashes(90)
    whole = change(key, 4, texts, rows)
    assert whole != texts
    parts = [change(key, 4, texts[a:b], rows[a:b]) for a, b in ((0, 1), (1, 70), (70, 90))]
    assert [text for part in parts for text in part] == whole
    order = np.random.default_rng(1).permutation(90)
    assert change(key, 4, [texts[at] for at in order], rows[order]) == [whole[at] for at in order]
    # Neighbouring words, and texts that are the same, are drawn apart.
    same = change(key, 3, [texts[0]] * 40, hashes(40, 5))
    assert len(set(same)) > 30


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_a_severity_changes_its_share_of_the_words(key: str, severity: int) -> None:
    texts = texts_of()
    changed = change(key, severity, texts, hashes(len(texts)))
    share = PERTURBATIONS.get(key).shares[severity]
    if key == "dropped_words":
        left = sum(len(text.split()) for text in changed) / (20 * len(texts))
        assert left == pytest.approx(1 - share, abs=0.02)
        return
    pairs = [
        (old, new)
        for before, after in zip(texts, changed, strict=True)
        for old, new in zip(before.split(" "), after.split(" "), strict=True)
    ]
    assert np.mean([old != new for old, new in pairs]) == pytest.approx(share, abs=0.02)


def test_what_becomes_of_words() -> None:
    words = {
        key: set(zip(WORDS * 300, " ".join(filter(None, changed)).split(" "), strict=True))
        for key in ("case", "punctuation")
        for changed in [change(key, 5, [" ".join(WORDS)] * 300, hashes(300))]
    }
    assert {("claim", "CLAIM"), ("PAID", "paid"), ("don't", "DON'T")} <= words["case"]
    assert {("late.", "late"), ("(why)", "why"), ("don't", "dont")} <= words["punctuation"]
    assert {new for old, new in words["punctuation"] if old == "order"} == {
        "order", "order.", "order,", "order;", "order!", "order?",
    }  # fmt: skip


def test_a_typo_is_one_slip() -> None:
    typos = PERTURBATIONS.get("typos")
    rng = np.random.default_rng(8)
    kinds = {"swap": 0, "short": 0, "long": 0, "beside": 0}
    for drawn, other in rng.random((4000, 2)):
        new = typos.change("Refund", drawn, other)
        gap = len(new) - len("Refund")
        assert abs(gap) <= 1 and new != "Refund"
        if gap:
            kinds["short" if gap < 0 else "long"] += 1
        elif sorted(new) == sorted("Refund"):
            kinds["swap"] += 1
        else:
            (at,) = [at for at in range(6) if new[at] != "Refund"[at]]
            assert new[at].lower() in NEIGHBOURS["Refund"[at].lower()]
            assert new[at].isupper() == "Refund"[at].isupper()
            kinds["beside"] += 1
    assert all(count == pytest.approx(1000, abs=120) for count in kinds.values())
    assert typos.change("a", 0.1, 0.5) == "a" and typos.change("是的", 0.9, 0.0) == "是是的"


def test_spaces_stay_and_texts_without_words_are_left() -> None:
    texts: list[str | None] = [None, "", "  \n", "one", " a  b\tc\n"]
    for key in KEYS:
        changed = change(key, 5, texts, hashes(5))
        assert changed[:3] == texts[:3]
        assert all(text is not None and text.strip() for text in changed[3:])
    for seed in range(30):
        (text,) = change("case", 5, ["  Mixed  Case\tText\n"], hashes(1, seed))
        assert text == "  MIXED  CASE\tTEXT\n"


@pytest.mark.parametrize("key", KEYS)
def test_columns_that_are_no_text_are_refused(key: str) -> None:
    setting = Setting(
        Problem(TaskKind.BINARY), (), None, Columns("label"),
        {"x": "double", "text": "string", "short": "varchar(10)"},
    )  # fmt: skip
    perturbation = PERTURBATIONS.get(key)
    (found,) = perturbation.misfits(["x", "text", "short"], setting)
    assert found == f"{key} wants columns of text, found 'x' of the type double"
