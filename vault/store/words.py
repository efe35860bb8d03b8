"""Words for the search index, from text and from queries, by one folding.

Everything is folded here (accents, case, ligatures) and handed to FTS5 as plain words, so that a query is data: none of
its characters can be taken for query syntax. FTS5's own folding leaves œ and æ as they are, and parts words by tables
of an older Unicode; its `ascii` tokenizer takes every word that comes from here as one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_QUERY_WORDS = 16
MAX_WORD = 64
SIGN = "¤"
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "đ": "d", "ł": "l", "ı": "i"})
_BREAKS = re.compile(r"[\W_]+")
_VARIANTS: dict[str, str] = {}


def folded(text: str) -> list[str]:
    """The words of a text, each at least once."""
    each = dict.fromkeys(text.split())
    # What is remembered are words, not whatever a file holds without a blank.
    fit = _known if max(map(len, each), default=0) <= MAX_WORD else fold
    return " ".join(map(fit, each)).split()


def fold(text: str) -> str:
    """Lower case without accents or ligatures, words separated by one space."""
    if not text.isascii():
        text = " ".join([word if word.isascii() else _unaccented(word) for word in text.split(" ")])
    return _BREAKS.sub(" ", text.lower()).strip()


def _unaccented(word: str) -> str:
    text = unicodedata.normalize("NFKD", word.casefold().translate(_LIGATURES))
    return "".join([letter for letter in text if not unicodedata.combining(letter)])


_known = lru_cache(1 << 14)(fold)  # one person's documents say the same words many times


def query(words: str) -> str:
    """An FTS5 query: every word, as the beginning of a word, all of them wanted. "" when there is no word."""
    found = [word[:MAX_WORD] for word in fold(words[:1000]).split()]
    # Folded words hold no quotes: between quotes nothing of them is syntax.
    return " AND ".join(f'"{word}"*' for word in found[:MAX_QUERY_WORDS])


def facets(author: str, type_code: str) -> str:
    """What a search is narrowed by, as words of the index that no text and no query has: fold() leaves no sign in."""
    named = [f"{SIGN}a{word[:MAX_WORD]}" for word in fold(author).split()]
    return " ".join([*named, _type(type_code)] if type_code else named)


def narrowed(text: str, author: str, type_code: str) -> str:
    """An FTS5 query: the words and the author's, each as a beginning, and the whole type. "" for none."""
    asked = [query(text)] if query(text) else []
    asked += [f'"{SIGN}a{word[:MAX_WORD]}"*' for word in fold(author[:1000]).split()[:MAX_QUERY_WORDS]]
    return " AND ".join([*asked, f'"{_type(type_code)}"'] if type_code else asked)


def _type(code: str) -> str:
    return f"{SIGN}t{_BREAKS.sub(SIGN, code[:MAX_WORD].casefold())}"


def excerpt(text: str, words: str, *, around: int = 60, start: str = "\x02", end: str = "\x03") -> str:
    """The first place where one of the words begins a word of `text`, marked; "" when none does."""
    found = _pattern(words).search(text) if words.strip() else None
    if found is None:
        return ""
    left, right = max(0, found.start() - around), min(len(text), found.end() + around)
    before, after = text[left : found.start()], text[found.end() : right]
    parts = ("…" if left else "", before, start, found.group(), end, after, "…" if right < len(text) else "")
    return " ".join("".join(parts).split(" "))


def _pattern(words: str) -> re.Pattern[str]:
    options = ["".join(_letter(letter) for letter in word) for word in fold(words[:1000]).split()[:MAX_QUERY_WORDS]]
    return re.compile(r"(?<!\w)(?:" + "|".join(options or ["(?!)"]) + r")\w*", re.IGNORECASE)


def _letter(letter: str) -> str:
    """Every way of writing a folded letter: with accents before or behind it, or as half of a ligature."""
    if not _VARIANTS:
        _fill_variants()
    return f"(?:{_VARIANTS.get(letter, re.escape(letter))})[̀-ͯ]*"


def _fill_variants() -> None:
    forms: dict[str, list[str]] = {}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        folded = fold(chr(code))
        if len(folded) == 1:
            forms.setdefault(folded, []).append(chr(code))
    for letter in "abcdefghijklmnopqrstuvwxyz":
        _VARIANTS[letter] = "[" + letter + letter.upper() + "".join(forms.get(letter, [])) + "]"
    # "oe" also matches œ: the first letter takes the ligature, the second may then be empty.
    _VARIANTS["o"] = f"{_VARIANTS['o']}|[œŒ]"
    _VARIANTS["a"] = f"{_VARIANTS['a']}|[æÆ]"
    _VARIANTS["e"] = f"{_VARIANTS['e']}|(?<=[œŒæÆ])"
    _VARIANTS["s"] = f"{_VARIANTS['s']}|ß|(?<=ß)"
