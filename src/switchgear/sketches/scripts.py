"""Which script a letter is of, and letters that may stand for it: of the same script and case, and as many bytes long."""

import random
from typing import NamedTuple


class _Script(NamedTuple):
    first: int
    last: int
    name: str
    letters: str
    """Those that may stand for others; of both cases where the script has two. All take as many bytes in UTF-8 as its letters do."""


def _span(first: int, last: int) -> str:
    return "".join(chr(code) for code in range(first, last + 1) if chr(code).isalpha())


_SCRIPTS = (
    _Script(0x0041, 0x007A, "Latin", "abcdefghijklmnopqrstuvwxyz"),
    _Script(0x00AA, 0x024F, "Latin", "àáâãäåæçèéêëìíîïñòóôõöøùúûüýœšž"),
    _Script(0x0250, 0x02AF, "Latin", _span(0x0250, 0x02AF)),
    _Script(0x0370, 0x03FF, "Greek", "αβγδεζηθικλμνξοπρστυφχψω"),
    _Script(0x0400, 0x052F, "Cyrillic", "абвгдежзийклмнопрстуфхцчшщыьэюя"),
    _Script(0x0530, 0x058F, "Armenian", _span(0x0561, 0x0586)),
    _Script(0x0590, 0x05FF, "Hebrew", _span(0x05D0, 0x05EA)),
    _Script(0x0600, 0x06FF, "Arabic", _span(0x0627, 0x063A) + _span(0x0641, 0x064A)),
    _Script(0x0900, 0x097F, "Devanagari", _span(0x0915, 0x0939)),
    _Script(0x0980, 0x09FF, "Bengali", _span(0x0995, 0x09A8)),
    _Script(0x0B80, 0x0BFF, "Tamil", _span(0x0BA8, 0x0BB5)),
    _Script(0x0E00, 0x0E7F, "Thai", _span(0x0E01, 0x0E2E)),
    _Script(0x10A0, 0x10FF, "Georgian", _span(0x10D0, 0x10F0)),
    _Script(0x1E00, 0x1EFF, "Latin", _span(0x1EA0, 0x1EF9)),
    _Script(
        0x3040,
        0x309F,
        "Hiragana",
        "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわを",
    ),
    _Script(
        0x30A0,
        0x30FF,
        "Katakana",
        "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    ),
    _Script(
        0x3400,
        0x9FFF,
        "Han",
        "一二三大小中上下人山川田日月火水木金土天地年生白目口手足石竹米糸花草虫貝見車雨青音空夕左右本林森犬町村男女子立早正先力入出千百",
    ),
    _Script(0xAC00, 0xD7AF, "Hangul", "가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우주추"),
)


def script_of(letter: str) -> str:
    """The script's name; empty where it is not one of those told apart."""
    known = _find(ord(letter))
    return known.name if known is not None else ""


def _find(code: int) -> _Script | None:
    return next((script for script in _SCRIPTS if script.first <= code <= script.last), None)


def letter_like(letter: str, rng: random.Random) -> str:
    """Another letter (it may be the same by chance) of the same script, case and length in UTF-8."""
    script = _find(ord(letter))
    size = len(letter.encode())
    if script is not None:
        choice = rng.choice(script.letters)
        if letter.isupper() and len(choice.upper()) == 1:
            choice = choice.upper()
        if len(choice.encode()) == size:
            return choice
    begin = ord(letter) & ~0x7F
    near = [chr(code) for code in range(begin, begin + 0x80) if chr(code).isalpha() and len(chr(code).encode()) == size]
    return rng.choice(near) if near else "x" * size
