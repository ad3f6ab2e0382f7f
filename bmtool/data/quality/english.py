"""The tables behind the word rule for English text: which strings and characters are cut off a segment, and where.

They are those of spaCy 3.8's English tokenizer, so that the quality filters see the words that datatrove's see.
Rewritten from `spacy/lang/{char_classes,punctuation,tokenizer_exceptions}.py` and `spacy/lang/en/` (MIT License,
Copyright (C) 2016-2024 ExplosionAI GmbH, 2016 spaCy GmbH, 2015 Matthew Honnibal). The algorithm is in
`bmtool.data.quality.tokens`.
"""

# ruff: noqa: RUF001 - characters that look like others are what these tables are about

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.kept_tables import kept_table
from bmtool.data.quality.native import inlined
from bmtool.data.text.words import ALONE as UNSPACED_WORD
from bmtool.data.text.words import word_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# ---------------------------------------------------------------- strings that are tokenized as a table says

_NOT_EXCEPTIONS = "Ill ill Its its Hell hell Shell shell Shed shed were Were Well well Whore whore"

_WHOLE = r"""
' \") <space> '' C++ \t \n — a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z. ä. ö. ü.
:) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-((
:((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :*
:-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__-
v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<)
(*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>
doin doin' Doin Doin' goin goin' Goin Goin' nothin nothin' Nothin Nothin' nuthin nuthin' Nuthin Nuthin' ol ol' Ol Ol'
somethin somethin' Somethin Somethin' em 'em ll 'll nuff 'nuff lovin lovin' Lovin Lovin' havin havin' Havin Havin'
'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am o'clock O'clock 'd
Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan.
Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C.
Sep. Sept. Tenn. Va. Wash. Wis. a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc.
Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s.
"""

_IN_PARTS = """
y'|all y|all how|'d|'y How|'d|'y not|'ve not|ve Not|'ve Not|ve can|not Can|not gon|na Gon|na got|ta Got|ta let|'s
Let|'s c'm|on C'm|on °|c|. °|f|. °|k|. °|C|. °|F|. °|K|.
"""

_ENDINGS = (  # words, what may follow them; an apostrophe may be left out
    ("i", "'m 'm|a"),
    ("i you he she it we they", "'ll 'll|'ve 'd 'd|'ve"),
    ("i you we they", "'ve"),
    ("you we they", "'re"),
    ("he she it", "'s"),
    ("who what when where why how there that this", "'s"),
    ("who what when where why how there that this these those", "'ll 'll|'ve 'd 'd|'ve"),
    ("who what when where why how there these those", "'re 've"),
    ("ca could do does did had may might must need ought sha should wo would", "n't n't|'ve"),
    ("could might must should would", "'ve"),
    ("ai are is was were have has dare", "n't"),
)


def _contractions() -> Iterator[tuple[str, ...]]:
    for words, endings in _ENDINGS:
        for word in words.split():
            for ending in endings.split():
                for first in (word, word.title()):
                    yield (first, *ending.split("|"))
                    yield (first, *ending.replace("'", "").split("|"))


@cache
def exceptions() -> dict[str, tuple[str, ...]]:
    """Strings with an entry of their own, and the tokens that they are cut into."""
    found = {"".join(parts): parts for parts in _contractions()}
    for hour in range(1, 13):
        found |= {f"{hour}{period}": (str(hour), period) for period in ("a.m.", "am", "p.m.", "pm")}
    found |= {word: (word,) for word in _WHOLE.split()}
    found |= {parts.replace("|", ""): tuple(parts.split("|")) for parts in _IN_PARTS.split()}
    for word in _NOT_EXCEPTIONS.split():
        found.pop(word, None)
    typographic = {k.replace("'", "’"): tuple(part.replace("'", "’") for part in v) for k, v in found.items()}
    return found | typographic


#: What is cut off behind an ASCII digit.
UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa "
    "mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм кг г мг м/с км/ч "
    "кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ тбكم كم كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³ غرام جرام جم كغ ملغ "
    "كوب اكواب"
)
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

# ---------------------------------------------------------------- characters

PREFIX = 1 << 0  # cut off the front
SUFFIX = 1 << 1  # cut off the end
ICON = 1 << 2  # symbols such as ™ and emoji: cut off everywhere
QUOTE = 1 << 3
ALPHA = 1 << 4  # the letters that spaCy's rules know
LOWER = 1 << 5  # of these, lower case, or of a script without case
UPPER = 1 << 6
ENDS_BEFORE_DOT = 1 << 7  # a full stop behind it is cut off
CURRENCY = 1 << 8
HOST = 1 << 9  # may stand in the name of a host
WORD = 1 << 10  # `\w`
DIGIT = 1 << 11  # `[0-9]`
DECIMAL = 1 << 12  # `\d`: digits of every script
LETTER = 1 << 13  # `str.isalpha`
PUNCTUATION = 1 << 14  # Unicode category P
SYMBOL = 1 << 15  # Gopher's "symbols": what alone makes no word, datatrove's PUNCTUATION_SET
TERMINAL = 1 << 16  # ends a sentence, or a line well
SPACE = 1 << 17  # `str.isspace`
UNSPACED = 1 << 18  # a word by itself: scripts without spaces (bmtool.data.text.words)
CLOSER = 1 << 19  # may stand between a full stop and the end of the line

#: Code points from here on are treated alike: Han, each a word by itself; and those behind it: tags and private use.
HAN, BEYOND = 0x20000, 0x40000


@inlined
def place_of(code):  # type: ignore[no-untyped-def]
    """Where the flags of a code point stand in `characters`."""
    return code if code < HAN else HAN + (code >= BEYOND)


_PUNCT = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉\u2329\u232a⟦⟧"
_CURRENCY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_SYMBOLS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
_CLOSERS = "」』”’）》〉】〕\"')"

#: Blocks of the cased letters that spaCy's rules know, and of those without case.
_CASED = (
    "41-5A 61-7A C0-D6 D8-F6 F8-1BF 1C4-2AF 386 388-38A 38C 38E-38F 391-3A9 3AC-3AF 3B1-3C9 3CC-3CE 400-401 403-40A "
    "40C-40D 410-451 453-45A 45C-45D 490-491 496-497 4A2-4A3 4AE-4AF 4BA-4BB 4D8-4D9 4E8-4E9 1D00-1D25 1D6B-1D77 "
    "1D79-1D9A 1E00-1EFF 2C60-2C7B 2C7E-2C7F A722-A76F A771-A787 A78B-A78E A790-A7B9 A7FA AB30-AB5A AB60-AB64 "
    "FF21-FF3A FF41-FF5A"
)
_UNCASED = (
    "591-5F4 620-64A 66E-6D5 6E5-6FF 750-77F 8A0-8BD 900-9FF B80-CFF D80-DFF 1100-137F 2E80-2FDF 2FF0-30FF 31C0-31EF "
    "3200-4DBF 4E00-9FFF AC00-D7AF F900-FAFF FB1D-FBB1 FBD3-FD3D FD50-FDC7 FDF0-FDFB FE30-FE4F FE70-FEFC 1EE00-1EEBB "
    "1F200-1F2FF"
)
#: Symbols (category So) that are younger than spaCy's list.
_NOT_ICONS = (
    "166D 2B97 2BC9 2BFF 2E50-2E51 32FF FD40-FD4F FDCF FDFE-FDFF 1019C 11FD5-11FDC 11FE1-11FF1 1CF50-1CFC3 1D1E9-1D1EA "
    "1E14F 1ED2E 1F10D-1F10F 1F16C-1F16F 1F1AD 1F6D5-1F6DF 1F6FA-1F6FF 1F774-1F77F 1F7D9-1F7F0 1F8B0-1F8BF 1F90C-1F90F "
    "1F93F 1F971-1F972 1F977-1F979 1F97B 1F9A3-1F9AF 1F9BA-1F9BF 1F9C3-1F9CF 1FA00-1FA5F 1FA6E-1FBFF"
)
#: Marks that end a sentence or a line in any script: datatrove's TERMINAL_PUNCTUATION. spaCy's sentencizer knows all
#: but 31 rare ones of them (Khmer, Old Uyghur, ...).
_TERMINALS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6 "
    "17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 "
    "2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB "
    "FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 "
    "111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 "
    "1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 "
    "16B37-16B38 16B44 16E98 1BC9F 1DA88"
)


def _codes(blocks: str) -> list[int]:
    pairs = [block.split("-") for block in blocks.split()]
    return [code for pair in pairs for code in range(int(pair[0], 16), int(pair[-1], 16) + 1)]


def _unicode_flags(code: int) -> int:
    character = chr(code)
    category = unicodedata.category(character)
    flags = PUNCTUATION * (category[0] == "P") | ICON * (category == "So") | LETTER * character.isalpha()
    flags |= WORD * (character.isalnum() or character == "_") | DECIMAL * (category == "Nd")
    return flags | SPACE * character.isspace() | (LOWER * (category == "Ll") | UPPER * (category == "Lu")) << 32


@kept_table()
def characters() -> NDArray[np.int32]:
    """(HAN + 2,) the flags of each code point; read-only. The last two stand for the rest of Han, and for all else."""
    raw = np.fromiter((_unicode_flags(code) for code in (*range(HAN + 1), BEYOND)), np.int64, HAN + 2)
    flags = (raw & 0xFFFFFFFF).astype(np.int32)
    cased = np.zeros(HAN + 2, bool)
    cased[_codes(_CASED)] = True
    case = (raw >> 32).astype(np.int32)
    case[0x294] = LOWER  # a glottal stop: "lower case" for spaCy, without case in Unicode
    flags |= np.where(cased, case | ALPHA, 0).astype(np.int32)
    flags[_codes(_UNCASED)] |= ALPHA | LOWER | UPPER
    flags[_codes(_NOT_ICONS)] &= ~ICON
    given = (
        (PREFIX, f"§%=—–{_PUNCT}{_QUOTES}{_CURRENCY}"),
        (SUFFIX, f"—–{_PUNCT}{_QUOTES}"),
        (QUOTE, _QUOTES),
        (CURRENCY, _CURRENCY),
        (ENDS_BEFORE_DOT, f"0123456789%²-+|{_PUNCT}{_QUOTES}"),
        (DIGIT, "0123456789"),
        (HOST, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        (SYMBOL, _SYMBOLS),
        (CLOSER, _CLOSERS),
    )
    for flag, text in given:
        flags[[ord(character) for character in text]] |= flag
    flags[0xA1:0x10000] |= HOST
    flags[(flags & ICON) > 0] |= PREFIX | SUFFIX
    flags[(flags & LOWER) > 0] |= ENDS_BEFORE_DOT
    flags[_codes(_TERMINALS)] |= TERMINAL | SYMBOL
    flags[[*range(9), 11, 12, *range(13, 32), *range(127, 160)]] |= SYMBOL
    flags[: HAN + 1][word_classes()[: HAN + 1] == UNSPACED_WORD] |= UNSPACED
    return flags
