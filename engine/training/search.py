"""Which candidates are tried: all of a grid, some drawn, fewer on more rows, or as TPE learns.

The first three are scikit-learn's `GridSearchCV`, `RandomizedSearchCV` and `HalvingGridSearchCV`:
for the same folds and seed they try the same candidates, on the same rows, in the same order. `tpe`
asks optuna's sampler for some candidates at a time, and tells it what came of them.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from engine.errors import DataError, InputError
from engine.training.cross_validation import Evaluator
from engine.training.leaderboard import Candidate, Entry
from engine.training.search_config import Search
from engine.training.space import Range, Space, read_space

_TOLD = logging.getLogger("evalmatrix")

TPE_BATCH = 4
"""So many candidates of `tpe` are tried at a time, whatever the number of workers."""


class Searcher:
    """A search over the hyperparameters of a folder.

    Args:
        search: the config's.
        params: the config's hyperparameters; a candidate changes some of them.
        seed: of all draws.
        higher_is_better: the direction of the metric.
    """

    def __init__(
        self, search: Search, params: Mapping[str, Any], seed: int, higher_is_better: bool
    ) -> None:
        self.search, self.params, self.seed = search, params, seed
        self.space: Space = read_space(search.params)
        self.sign = 1 if higher_is_better else -1

    def run(self, evaluator: Evaluator, metric: str, smallest: int) -> list[Entry]:
        """Tries the candidates.

        Args:
            evaluator: who does.
            metric: by which a search goes on.
            smallest: the fewest rows that a round of a halving takes.
        """
        if self.search.method == "halving":
            return self._halve(evaluator, metric, smallest)
        if self.search.method == "tpe":
            return self._learn(evaluator, metric)
        return evaluator.evaluate(self._candidates(self._draw()))

    def check(self, smallest: int, rows: int) -> None:
        """Refuses, before anything is fitted, what cannot be done.

        Raises:
            InputError: where optuna is missing.
            DataError: where there are too few rows to halve.
        """
        if self.search.method == "tpe":
            import_optuna()
        if self.search.method == "halving" and smallest > rows:
            raise DataError(
                f"the method halving begins with {smallest} rows (2 for each fold and class), and "
                f"there are {rows} for training; expected fewer folds or another method"
            )

    def _draw(self) -> Iterator[dict[str, Any]]:
        from sklearn.model_selection import ParameterGrid, ParameterSampler

        if self.search.method != "random":
            yield from ParameterGrid(dict(self.space))
            return
        trials = self.search.trials or 1
        space = {
            name: values.distribution() if isinstance(values, Range) else values
            for name, values in self.space.items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = list(ParameterSampler(space, trials, random_state=self.seed))
        if len(drawn) < trials:
            _TOLD.info("the search space has %d candidates, fewer than trials", len(drawn))
        yield from drawn

    def _candidates(self, drawn: Iterator[dict[str, Any]], first: int = 1) -> list[Candidate]:
        return [
            Candidate(str(number), plain, {**self.params, **plain})
            for number, plain in enumerate(map(_plain, drawn), first)
        ]

    def _halve(self, evaluator: Evaluator, metric: str, smallest: int) -> list[Entry]:
        """As `HalvingGridSearchCV(min_resources="exhaust")`: each round fewer, on more rows."""
        factor, rows = self.search.factor, self._row_count(evaluator)
        candidates = self._candidates(self._draw())
        required = 1 + math.floor(math.log(len(candidates), factor))
        smallest = max(smallest, rows // factor ** (required - 1))
        possible = 1 + math.floor(math.log(rows // smallest, factor))
        entries: list[Entry] = []
        for iteration in range(min(possible, required)):
            taken = min(factor**iteration * smallest, rows)
            tried = evaluator.evaluate(
                candidates, fraction=taken / rows, iteration=iteration, rows=taken
            )
            entries += tried
            candidates = self._best(tried, metric, math.ceil(len(candidates) / factor))
        return entries

    def _row_count(self, evaluator: Evaluator) -> int:
        fold = evaluator.folds[0]
        return len(fold.train) + len(fold.test)

    def _best(self, entries: list[Entry], metric: str, count: int) -> list[Candidate]:
        """The best of a round in scikit-learn's order, those without a mean worst."""
        means = np.array([self.sign * entry.mean(metric) for entry in entries])
        order = np.roll(np.argsort(means), np.count_nonzero(np.isnan(means)))
        return [entries[at].candidate for at in order[-count:]]

    def _learn(self, evaluator: Evaluator, metric: str) -> list[Entry]:
        """By ask and tell in batches of one size, so that the same seed tries the same ones."""
        optuna = import_optuna()
        direction = "maximize" if self.sign > 0 else "minimize"
        trials = self.search.trials or 1
        entries: list[Entry] = []
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with warnings.catch_warnings():
                # The option is experimental, and says so.
                warnings.simplefilter("ignore")
                sampler = optuna.samplers.TPESampler(seed=self.seed, constant_liar=True)
                study = optuna.create_study(direction=direction, sampler=sampler)
                while len(entries) < trials:
                    asked = [study.ask() for _ in range(min(TPE_BATCH, trials - len(entries)))]
                    drawn = (self._suggest(trial) for trial in asked)
                    tried = evaluator.evaluate(self._candidates(drawn, len(entries) + 1))
                    for trial, entry in zip(asked, tried, strict=True):
                        mean = entry.mean(metric)
                        lost = math.isnan(mean)
                        state = optuna.trial.TrialState.FAIL if lost else None
                        study.tell(trial, None if lost else mean, state=state)
                    entries += tried
        finally:
            optuna.logging.set_verbosity(level)
        return entries

    def _suggest(self, trial: Any) -> dict[str, Any]:
        return {name: _suggest(trial, name, values) for name, values in self.space.items()}


def _suggest(trial: Any, name: str, values: list[Any] | Range) -> Any:
    if not isinstance(values, Range):
        # By their places: a choice may be a list, which optuna does not store.
        return values[trial.suggest_categorical(name, list(range(len(values))))]
    if values.whole:
        step = 1 if values.step is None else int(values.step)
        low, high = int(values.low), int(values.high)
        return trial.suggest_int(name, low, high, step=step, log=values.log)
    return trial.suggest_float(
        name, float(values.low), float(values.high), step=values.step, log=values.log
    )


def import_optuna() -> Any:
    """Imports optuna, which only `tpe` takes.

    Raises:
        InputError: where it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "the method tpe takes optuna, which is not installed: pip install 'evalmatrix[search]',"
            " or choose grid, random or halving"
        ) from error
    return optuna


def _plain(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of NumPy as Python's own: they go into files."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in drawn.items()
    }
