"""Hypothesis strategies for JSON texts in any spelling, JSON values, and texts that are almost JSON."""

from __future__ import annotations

from hypothesis import strategies as st

DEEP = 400
SPACES = st.text(" \t\n\r", max_size=2)
ESCAPES = ['\\"', "\\\\", "\\/", "\\b", "\\n", "\\u0000", "\\u000a", "\\ud800", "\\uDFFF", "\\ud83d\\ude00", "\\u00E9"]
CHARACTERS = st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters='"\\')
STRINGS = st.lists(CHARACTERS | st.sampled_from([*ESCAPES, "💥", "\x7f", "\u2028", "\uffff"]), max_size=12).map(
    lambda pieces: f'"{"".join(pieces)}"'
)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
NAMES = STRINGS | st.sampled_from(['"a"', '""'])  # duplicate keys are JSON


def spaced(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(SPACES, texts, SPACES).map("".join)


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(spaced(NAMES), spaced(inner)).map(":".join)
    return st.lists(spaced(inner), max_size=4).map(lambda parts: f"[{','.join(parts)}]") | st.lists(
        pairs, max_size=4
    ).map(lambda parts: f"{{{','.join(parts)}}}")


def nested(text: str, shells: tuple[str, str], depth: int) -> str:
    return shells[0] * depth + text + shells[1] * depth


SHELLS = st.sampled_from([("[", "]"), ('{"a":', "}"), ('[ 1,{\n"":', "}]")])
WORDS = st.sampled_from(["true", "false", "null", "[]", "{}", "[ ]", '""'])
TREES = st.recursive(NUMBERS | STRINGS | WORDS, containers, max_leaves=12)
JSON_TEXTS = spaced(TREES) | st.builds(nested, TREES, SHELLS, st.integers(0, DEEP // 2))

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)

# A mutation inserts one of these: signs of JSON, and texts that other JSON readers, or Python's float(), accept.
SIGNS = list("[]{},:\"\\0123456789.eE+-_/#'xu \t\n\r\v\f\0\x1f\x7f\x80\xa0\u2028\ufeff\u0661")
WRONG = [
    "NaN",
    "Infinity",
    "null",
    "tru",
    "//",
    "/**/",
    "\\u12",
    "\\x41",
    "\\ud800",
    "0x1",
    "1.",
    "00",
    "1e",
    ",]",
    '"":',
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(JSON_TEXTS)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 3)))
        put = draw(st.sampled_from(SIGNS + WRONG) | st.just(text[start:end] * 2) | st.just(""))
        text = text[:start] + put + text[end:]
    return text
