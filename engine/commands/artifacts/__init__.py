"""What is written for elsewhere: manifests, pipelines and units, from one suite by templates.

A target is a folder of templates and a few facts about where it runs; all templates read the same
`Facts`. No text of a suite stands in a template's output but through a filter that quotes it.
"""

from __future__ import annotations

from engine.commands.artifacts.facts import Facts, Wishes, read_facts
from engine.commands.artifacts.render import render
from engine.commands.artifacts.targets import TARGETS, Target, find_target
from engine.commands.artifacts.writing import WrittenFile, write_files

__all__ = [
    "TARGETS",
    "Facts",
    "Target",
    "Wishes",
    "WrittenFile",
    "find_target",
    "read_facts",
    "render",
    "write_files",
]
