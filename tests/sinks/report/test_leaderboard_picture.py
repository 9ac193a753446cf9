"""The picture of a leaderboard: who is drawn, where, and what is escaped."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from engine.sinks.report.leaderboard_picture import Bar, draw_leaderboard


def labels(picture: str) -> list[str]:
    """The candidates' labels, from the top down."""
    texts = [node for node in ET.fromstring(picture).iter() if "=" in (node.text or "")]
    marked = [(float(node.attrib["y"]), node.text) for node in texts if "y" in node.attrib]
    return [text for _, text in sorted(marked)]


def test_the_best_is_at_the_top_and_one_without_a_mean_is_left_out():
    bars = [Bar("a=1", 0.9, 0.01), Bar("a=<2>&", 0.8, 0.02), Bar("a=3", math.nan, math.nan)]
    picture = draw_leaderboard(bars, "roc_auc")
    assert labels(picture) == ["a=1", "a=<2>&"]
    assert draw_leaderboard(bars, "roc_auc") == picture


def test_no_more_than_twenty_are_drawn():
    picture = draw_leaderboard([Bar(f"a={n}", 1 - n / 100, 0.01) for n in range(30)], "r2")
    assert labels(picture) == [f"a={n}" for n in range(20)]
