"""Texts that have broken programs before: curated ones, and hypothesis to go on from them.

The fixture `nasty` of `tests/conftest.py` is this module. Where names come from a suite, `names`
has those that it takes; where they come from data or from a model's exception, `texts` has all.
"""

from __future__ import annotations

import unicodedata
from itertools import chain

from hypothesis import strategies as st

QUOTES = ["'", '"', "`", "``", "'\"`´‘“«", "it's", 'say "hi"', "\\", "\\\\", "\\'", "\\n", "a\\"]
INTERPOLATED = ["$x", "${x}", "$(id)", "{x}", "{{7*7}}", "{% if 1 %}", "{# #}", "%s%n", "%(x)s"]
CONTROLS = [
    "a\nb",
    "a\r\nb",
    "\rb",
    "a\tb",
    "a\x00b",
    "\x07\x08\x1b[31mred",
    "\x7f",
    "\x85",
    "\x9b2J",
]
UNICODE = [
    "line\u2028and\u2029paragraph",
    "zero\u200bwidth\u200c\u200d\u2060\ufeff",
    "\u202eevil\u202c \u2066x\u2069",
    "e\u0301 and \u00e9",
    "a" + "\u0300" * 40,
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "𝔘𝔫𝔦 ﷽ ｆｕｌｌ İıſß",
    "\u00a0nbsp\u3000wide",
    "\ufffe\uffff\ufffd",
]
SPACES = [" ", "  ", " a", "a ", "a  b", "a b", "\u00a0"]
HTML = [
    "<script>alert(1)</script>",
    "</script></style></title></template></svg>",
    "<img src=x onerror=alert(2)>",
    '"><svg/onload=alert(3)>',
    "' autofocus onfocus=alert(4) x='",
    "--> <!-- x",
    "]]> <![CDATA[ x",
    "&#x0; &lt; &amp;amp; &nope;",
    "<?php ?> <!DOCTYPE x [<!ENTITY y 'z'>]>",
    "javascript:alert(5)",
    'id="x" url(#a) href="#b"',
]
SQL = ["'; DROP TABLE x; --", "/* x */ -- y", "a.b", "*", "count(*)", "`a`.`b`", "1 OR 1=1", "a;b"]
PATHS = [
    "../../x", "..", ".", "./a", "/etc/passwd", "//host/x", "C:\\x", "~", "~root", "a/b", "a//b",
    "a.", "_delta_log", ".locks", "_x", "nul", "%2e%2e%2f", "a%20b", "a#b?c", "a[b]{c}*", "a:b",
    "a=b", "a&b", "file:/etc", "s3://x/y", "-rf",
]  # fmt: skip
YAML = [
    "a: b", "- a", "&x", "*x", "!!python/object:os.system x", "<<", "? x", "#x", "|", ">", "@x",
    "---", "...", "[a, b]", "{a: b}", "yes", "2026-01-01", "1:30", "0x1F", "1e3", "=", "~",
]  # fmt: skip
MARKUP = [
    "[red]", "[/]", "[link=http://x]a", "[bold]\\[x]", "::error file=x::y", "##[error]x",
    "@someone", "#12", "![a](http://x)", "a|b", "**b** _c_", "# head", "| - |",
]  # fmt: skip
ALIKE = [
    "", "null", "None", "NULL", "nan", "NaN", "inf", "-0", "0", "1", "1.0", "01", "true", "True",
    "<null>", '"<null>"', '""', "a=1 & b=2", "a=1", " & ", "b=2 & c", "overall", "worst",
    "verdicts", "cost",
]  # fmt: skip
LONG = ["x" * 200, "x" * 199 + "y", "🙂" * 200, "ä" * 128, "<" * 200]

_ALL = (
    QUOTES,
    INTERPOLATED,
    CONTROLS,
    UNICODE,
    SPACES,
    HTML,
    SQL,
    PATHS,
    YAML,
    MARKUP,
    ALIKE,
    LONG,
)
CURATED: list[str] = list(dict.fromkeys(chain.from_iterable(_ALL)))
HUGE = ["x" * 10_000, "<b>'\"&" * 2_000, "🙂" * 10_000, "a\n" * 5_000]
SURROGATES = ["\ud800", "a\udfffb", "\udcff.csv", "\ud83d"]


def is_name(text: str) -> bool:
    """Whether a suite may have something of this name, by the rule that the documents state."""
    acting = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)
    return bool(text.strip()) and len(text) <= 200 and not acting


NAMES = [text for text in CURATED if is_name(text)]


def _glued(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(parts, min_size=2, max_size=4).map("".join)


def texts(*, surrogates: bool = False) -> st.SearchStrategy[str]:
    """Any text: curated, glued together, or by the characters that act on something."""
    curated = st.sampled_from(CURATED + HUGE + (SURROGATES if surrogates else []))
    acting = st.sampled_from("'\"`\\$%{}[]()<>&=|;:,.*#@!?~^_-+/ \n\t\r\0\u2028\u200d\u202e😀é")
    anything = st.characters(exclude_categories=() if surrogates else ("Cs",))
    return st.one_of(
        curated,
        _glued(st.sampled_from(CURATED)),
        st.text(st.one_of(acting, anything), max_size=40),
    )


def names() -> st.SearchStrategy[str]:
    """Texts that a suite takes for a name."""
    return st.one_of(st.sampled_from(NAMES), texts().filter(is_name))
