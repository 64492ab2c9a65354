"""Spoken numbers below a hundred in German, French, Spanish, Italian, Dutch and Portuguese, for the masking of long numbers.

Nothing is recognised by these words: prompts are compared in the words that they are made of. Loads no numpy.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

# fmt: off
_BELOW_TWENTY = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn",
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf",
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve",
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette diciotto diciannove",
    "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien achttien negentien",
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis dezessete dezoito dezenove",
)
_TENS = (
    "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "vingt trente quarante cinquante soixante septante huitante nonante",
    "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "venti trenta quaranta cinquanta sessanta settanta ottanta novanta",
    "twintig dertig veertig vijftig zestig zeventig tachtig negentig",
    "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa",
)
_ALSO = {
    "zwo": 2, "fuenf": 5, "une": 1, "één": 1, "eén": 1, "uma": 1, "duas": 2, "tres": 3, "meia": 6,
    "zwoelf": 12, "dreissig": 30, "quatorze": 14, "dezasseis": 16, "dezassete": 17, "dezanove": 19,
}
# fmt: on
AMBIGUOUS = frozenset({"um", "un", "une", "due", "once", "sei", "elf", "dix", "six", "tien", "een"})
"""Words that mean something else in another language: numbers only among others."""


def _compounds(words: str, tens: str) -> Iterator[tuple[str, int]]:
    """Yield the units and tens that are written in one word: German, Dutch, Italian, and Spanish twenties."""
    units = words.split()[1:10]
    for ten, word in enumerate(tens.split(), start=2):
        for unit, name in enumerate(units, start=1):
            stem = word[:-1] if name[0] in "uo" else word
            value = 10 * ten + unit
            yield f"{name.removesuffix('s') if name == 'eins' else name}und{word}", value
            yield f"{name}{'ën' if name.endswith('e') else 'en'}{word}", value
            yield f"{stem}{name}", value
            yield f"{word[:-1]}i{name}", value


def _values() -> Iterator[tuple[str, int]]:
    for words, tens in zip(_BELOW_TWENTY, _TENS, strict=True):
        yield from _compounds(words, tens)
        yield from ((word, value) for value, word in enumerate(words.split()))
        yield from ((word, 10 * ten) for ten, word in enumerate(tens.split(), start=2))
    yield from _ALSO.items()


VALUES: Mapping[str, int] = MappingProxyType({word.casefold(): value for word, value in _values()})
"""What a casefolded word says, 0 to 99."""
