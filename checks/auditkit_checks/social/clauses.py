"""A text as its clauses: what one negation can govern, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


def word_set(text: str) -> frozenset[str]:
    """The words of a text, in any order."""
    return frozenset(text.split())


SUBJECTS = word_set("i we you it they he she sam please")

HARD_NEGATIONS = frozenset(("not", "never"))
"""Those that hold for a list: 'do not copy or send'."""

NEGATIONS = HARD_NEGATIONS | word_set(
    """nobody no none nothing neither nor without hardly instead unable unwilling refuse refuses refused
    refusing decline declines declined declining reject rejected deny denied forbid forbids
    forbidden prohibit prohibits prohibited disallowed against avoid stop refrain prevent prevents
    wrong illegal unlawful unsafe unethical impossible inappropriate"""
)

MODALS = word_set(
    "can could will would shall should may might must do does did am are is to ought really"
)

CONDITIONS = word_set("if when whenever before after until unless")

_BREAKS = word_set(
    """and or but so because since although though while then please just if when whenever unless until
    before after who what why how which whether otherwise however"""
)
"""Words that begin a clause."""

_APART = (
    ("’", "'"), ("can't", "can not"), ("cannot", "can not"), ("won't", "will not"), ("shan't", "shall not"),
    ("n't", " not"), ("let's", "let us"), ("'ll", " will"), ("'d", " would"), ("'m", " am"), ("'re", " are"),
    ("'ve", " have"), ("no one", "nobody"), ("rather than", "instead"),
)  # fmt: skip
_WITHOUT_APOSTROPHE = {
    word + "nt": f"{word} not"
    for word in ("do", "does", "did", "is", "are", "was", "could", "should", "would", "must")
} | {"cant": "can not", "wont": "will not"}

_IDIOMS = (
    (
        r"do not (worry|panic|be \w+|mind|delay)|never mind|no (problem|worries|doubt|matter)|not a problem",
        ",",
    ),
    (r"do not (hesitate|forget|wait|fail) to", ", please"),
    (r"(why do|can|could|would|will) not you", r"could you"),
    (r"why not|why do not we|how about|what about", "please consider"),
    (
        r"without (any )?(further )?(delay|hesitation|ado|questions?)|(no|not) later than|can not wait",
        "",
    ),
    (r"how soon|how quickly|how fast", "when"),
    (r"not only|whether or not", ""),
)
"""What sounds like a negation or a question and is none, and what it comes to."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Words in small letters, with contractions apart: `can't` is `can not`.

    Attributes:
        words: They.
        question: Whether its sentence ends in a question mark.
    """

    words: tuple[str, ...]
    question: bool


def sentences(text: str) -> Iterator[list[Clause]]:
    """The clauses of each sentence, in order."""
    for found in re.finditer(r"(?:[^.?!\n]|[.?!](?=[^\s.?!\"')]))+[.?!]*", _plain(text)):
        sentence = found[0]
        clauses = _joined(list(_pieces(sentence)))
        if clauses:
            question = sentence.rstrip().endswith("?")
            yield [Clause(tuple(words), question) for words in clauses]


def negations(words: Sequence[str]) -> int:
    """How many negations there are."""
    return sum(word in NEGATIONS for word in words)


def _plain(text: str) -> str:
    text = text.lower()
    for written, meant in _APART:
        text = text.replace(written, meant)
    text = re.sub(r"[a-z]+", lambda m: _WITHOUT_APOSTROPHE.get(m[0], m[0]), text)
    text = re.sub(r"[^\S\n]+", " ", text)
    for idiom, meant in _IDIOMS:
        text = re.sub(rf"\b(?:{idiom})\b", meant, text)
    return text


def _pieces(sentence: str) -> Iterator[list[str]]:
    """Parted at punctuation, and before the words that begin a clause."""
    for part in re.split(r"[,;:()\"“”—–]|\s-+\s", sentence):
        piece: list[str] = []
        for word in re.findall(r"[a-z0-9][a-z0-9'.-]*", part):
            if word in _BREAKS and piece:
                yield piece
                piece = []
            piece.append(word.rstrip(".'-"))
        if piece:
            yield piece


def _joined(pieces: Sequence[list[str]]) -> list[list[str]]:
    """Pieces with what they take over: 'I cannot' from 'I cannot, in good conscience, send …', and 'do not'
    from 'do not copy, share or send …'.
    """
    clauses: list[list[str]] = []
    open_: list[str] = []
    for taken in pieces:
        piece = taken
        bare = [word for word in piece if word not in ("and", "or", "just", "then")]
        own = bare[:1] and bare[0] in SUBJECTS
        before = clauses[-1] if clauses else []
        head = _head(before)
        listed = piece[0] in ("and", "or") or len(piece) == 1
        if open_ and not own:
            again = {*_head(bare)} & HARD_NEGATIONS
            piece = [*(w for w in open_ if not (again and w in HARD_NEGATIONS)), *bare]
            open_ = open_ if _is_aside(bare) else []
        elif piece[0] in ("and", "or") and not own and before[:1] and before[0] in CONDITIONS:
            piece, open_ = [before[0], *bare], []
        elif listed and not own and bare and head and _is_short(before[len(head) :]):
            piece, open_ = [*head, *bare], []
        else:
            open_ = piece if piece == _head(piece) and {*piece} & (MODALS | HARD_NEGATIONS) else []
        clauses.append(piece)
    return clauses


def _head(words: Sequence[str]) -> list[str]:
    """What a clause begins with before its verb: subject, modals, negations."""
    head: list[str] = []
    for word in words:
        if word not in SUBJECTS | MODALS | HARD_NEGATIONS | {"and", "or", "ever", "just"}:
            break
        head.append(word)
    return head


def _is_short(rest: Sequence[str]) -> bool:
    """One verb, or one with its pronoun."""
    return len(rest) == 1 or (2 <= len(rest) <= 3 and rest[-1] in ("it", "them"))


def _is_aside(words: Sequence[str]) -> bool:
    return bool(words) and words[0] in {
        "in",
        "at",
        "under",
        "for",
        "by",
        "with",
        "on",
        "however",
        "of",
    }
