"""Small conditions over what is known of a picture: ``label in (owl, cat) and size > 0.4``.

A condition joins comparisons by ``and`` and ``or`` (``and`` binds closer), with ``not`` and
parentheses. A comparison is ``name = value`` with one of ``= != < <= > >=``, or ``name in (value,
...)``. Values are numbers, words, or text in quotes; ``null`` stands for what is not there. Nothing
of it is executed.
"""

import operator
import re
from collections.abc import Callable, Mapping

from steerboard.images.picture import Value
from steerboard.spec.errors import InvalidRequest

Test = Callable[[Mapping[str, Value]], bool]
TOKEN = re.compile(r"""\s*(?:([()=,]|!=|<=|>=|<|>)|"([^"]*)"|'([^']*)'|([^\s()=!<>,"']+))""")
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MAX_CHARACTERS, MAX_DEPTH = 2000, 50


def condition(text: str) -> Test:
    """What a condition asks of a picture's facts; empty: nothing. Raises InvalidRequest."""
    if not text.strip():
        return lambda facts: True
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"the condition has more than {MAX_CHARACTERS} characters: shorten it")
    return Parser(text).whole()


def asked_about(text: str) -> tuple[str, ...]:
    """The facts that a condition names; raises InvalidRequest."""
    parser = Parser(text)
    if text.strip():
        parser.whole()
    return tuple(dict.fromkeys(parser.names))


class Parser:
    """Reads a condition by recursive descent; ``names`` are the facts that it asks about."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self._text = text
        self._tokens = list(tokens(text))
        self._depth = 0

    def whole(self) -> Test:
        """All of it."""
        found = self._any()
        if self._tokens:
            raise self._wrong("and, or, or the end")
        return found

    def _any(self) -> Test:
        tests = [self._all()]
        while self._took("or"):
            tests.append(self._all())
        return lambda facts: any(test(facts) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._took("and"):
            tests.append(self._one())
        return lambda facts: all(test(facts) for test in tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidRequest(f"the condition is nested more than {MAX_DEPTH} deep")
        try:
            if self._took("not"):
                inner = self._one()
                return lambda facts: not inner(facts)
            if self._took("("):
                inner = self._any()
                self._need(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Test:
        name = self._value("the name of a fact")
        self.names.append(name)
        if self._took("not"):
            self._need("in")
            among = self._list()
            return lambda facts: not any(equal(facts.get(name), v) for v in among)
        if self._took("in"):
            among = self._list()
            return lambda facts: any(equal(facts.get(name), v) for v in among)
        return self._compared(name)

    def _compared(self, name: str) -> Test:
        for sign in ("=", "!="):
            if self._took(sign):
                self._took("=")  # `==` is meant the same
                value, same = self._value("a value"), sign == "="
                return lambda facts: equal(facts.get(name), value) == same
        for sign, compare in ORDER.items():
            if self._took(sign):
                bound = number(self._value("a number"))
                if bound is None:
                    raise InvalidRequest(f"{name} {sign} is followed by no number")
                return lambda facts: ordered(facts.get(name), bound, compare)
        raise self._wrong("= != < <= > >= or in")

    def _list(self) -> list[str]:
        self._need("(")
        values = [self._value("a value")]
        while self._took(","):
            values.append(self._value("a value"))
        self._need(")")
        return values

    def _value(self, wanted: str) -> str:
        if not self._tokens or self._tokens[0][1]:
            raise self._wrong(wanted)
        return self._tokens.pop(0)[0]

    def _took(self, word: str) -> bool:
        if self._tokens and self._tokens[0] in ((word, True), (word, False)):
            self._tokens.pop(0)
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._took(word):
            raise self._wrong(repr(word))

    def _wrong(self, wanted: str) -> InvalidRequest:
        found = repr(self._tokens[0][0]) if self._tokens else "the end"
        return InvalidRequest(
            f"the condition {self._text!r} has {found} where {wanted} should stand; such as:"
            " label in (owl, cat) and size > 0.4"
        )


def tokens(text: str) -> list[tuple[str, bool]]:
    """Each token and whether it is a sign; raises InvalidRequest."""
    out, at, text = [], 0, text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise InvalidRequest(f"the condition cannot be read from {text[at : at + 20]!r} on")
        sign, double, single, word = match.groups()
        out.append(
            (sign, True)
            if sign
            else (next(v for v in (double, single, word) if v is not None), False)
        )
        at = match.end()
    return out


def number(value: Value) -> float | None:
    """A value as a number, also where a table held it as text; None for what is none."""
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def equal(value: Value, wanted: str) -> bool:
    """Equal as numbers where both are numbers, else as text; ``null`` is what is not there."""
    if value is None or value == "":
        return wanted in ("null", "")
    if isinstance(value, bool):
        return wanted.lower() == str(value).lower()
    ours, theirs = number(value), number(wanted)
    return ours == theirs if None not in (ours, theirs) else str(value) == wanted


def ordered(value: Value, bound: float, compare: Callable[[float, float], bool]) -> bool:
    """Whether a number compares so; what is no number does not."""
    ours = number(value)
    return ours is not None and compare(ours, bound)
