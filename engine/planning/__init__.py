"""The plan: the matrix of (model version x slice set x test) on a pinned dataset version, as data.

Running, resuming, showing and explaining are functions of a plan. It is plain, frozen and small,
so that it travels to the workers as it is, and two equal plans have equal digests.
"""

from __future__ import annotations

from engine.core.vocabulary import Columns
from engine.planning.fit import check_fit
from engine.planning.needs import Need, code_of, libraries, needs
from engine.planning.plan import AnyFamily, EvaluationPlan, dump_plans, load_plans
from engine.planning.problem import label_codes, make_problem
from engine.planning.questions import Question, QuestionPlace, distinct_questions, questions
from engine.planning.subjects import Subject
from engine.planning.test_names import expand_tests, free_name, metric_mistake
from engine.states.rows import PREDICTIONS, ROWS, STATES_VERSION

__all__ = [
    "PREDICTIONS",
    "ROWS",
    "STATES_VERSION",
    "AnyFamily",
    "Columns",
    "EvaluationPlan",
    "Need",
    "Question",
    "QuestionPlace",
    "Subject",
    "check_fit",
    "code_of",
    "distinct_questions",
    "dump_plans",
    "expand_tests",
    "free_name",
    "label_codes",
    "libraries",
    "load_plans",
    "make_problem",
    "metric_mistake",
    "needs",
    "questions",
]
