"""Names of a page's regions: what a reader hears who goes from one to the next without seeing."""

from __future__ import annotations


class RegionNames:
    """Hands out names, each once a page; a name that was given before gets a number.

    >>> name = RegionNames()
    >>> name("What failed in claims"), name("What failed in claims")
    ('What failed in claims', 'What failed in claims (2)')
    """

    def __init__(self) -> None:
        self._given: set[str] = set()

    def __call__(self, text: str) -> str:
        name, times = text, 1
        while name in self._given:
            times += 1
            name = f"{text} ({times})"
        self._given.add(name)
        return name
