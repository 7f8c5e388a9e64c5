"""What every target draws: texts, bytes and numbers, many of them at a limit or of a bad kind."""

from random import Random
from typing import TypeVar

T = TypeVar("T")

# A random word that must be in nothing that the gateway writes; see `refusals`.
CANARY = "Kanarie7c1f0be9"

# Texts that have broken programs: escapes, other lines, JSON and paths in them, odd characters.
TEXTS = (
    "",
    " ",
    "a",
    "report.pdf",
    "Übersicht März.docx",
    "\0",
    "\x01\x1f\x7f\x80\x9f",
    "a\r\nX-Injected: 1\r\n\r\n",
    '","contentBytes":"QUJD","x":"',
    '"},"@odata.type":"#microsoft.graph.referenceAttachment',
    "\\u0000\\ud800",
    "../../users/me",
    "..",
    "%2e%2e%2f%00",
    "?$select=id#x",
    "\u2028\u2029\u0085",
    "\ufeffBOM",
    "\u202egnp.exe",
    "e\u0301" * 3,
    "\U0001d518\U0001d52b 😀",
    "\uffff\ufffe\U0010ffff",
    "İıſß",
    "x" * 255,
    "ü" * 300,
    "A" * 5000,
)

# The ends of protobuf's integers, and of the sizes that the code compares with.
NUMBERS = (
    *(0, 1, 2, 3, 10, 127, 128, 255, 256, 16_383, 16_384, 65_535, 65_536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**63 - 1),
    *(-1, -2, -(2**31), -(2**63)),
)

_BYTES = bytes((0, 1, 0x0A, 0x0D, 0x20, 0x22, 0x2C, 0x3A, 0x5C, 0x7B, 0x7F, 0x80, 0xC0, 0xED, 0xFF))

_CHARS = ((0x20, 0x7E), (0, 0x1F), (0xA0, 0x2FF), (0x2000, 0x206F), (0x4E00, 0x4FFF))


def chance(random: Random, share: float) -> bool:
    """Return true in this share of the draws."""
    return random.random() < share


def text(random: Random) -> str:
    """Return a text without surrogates, as protobuf's strings are."""
    if chance(random, 0.5):
        return random.choice(TEXTS)
    low, high = random.choice(_CHARS)
    return "".join(chr(random.randint(low, high)) for _ in range(random.choice((1, 3, 8, 40))))


def name(random: Random) -> str:
    """Return a file's name with the canary in it, or now and then any text."""
    return text(random) if chance(random, 0.2) else f"{CANARY}{text(random)}"


def number(random: Random) -> int:
    """Return a whole number, often one at a limit."""
    return random.choice(NUMBERS) if chance(random, 0.7) else random.randint(-(2**63), 2**63 - 1)


def content(random: Random, size_bytes: int) -> bytes:
    """Return a file's bytes, with the canary in them if there is room."""
    begin = CANARY.encode() if size_bytes > 2 * len(CANARY) else b""
    return begin + random.randbytes(size_bytes - len(begin))


def cut(random: Random, whole: bytes, most: int) -> list[bytes]:
    """Cut bytes into at most `most` pieces, some of them empty."""
    cuts = sorted(random.randint(0, len(whole)) for _ in range(random.randrange(most)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def mutated(random: Random, data: bytes) -> bytes:
    """Return bytes with one to four changes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choice(_CHANGES)(random, changed)
    return bytes(changed)


def _flip(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(_BYTES)


def _part(random: Random, data: bytearray) -> slice:
    begin = random.randint(0, len(data))
    return slice(begin, begin + random.choice((1, 1, 2, 4, 16, 100)))


def _drop(random: Random, data: bytearray) -> None:
    del data[_part(random, data)]


def _repeat(random: Random, data: bytearray) -> None:
    part = _part(random, data)
    data[part] = data[part] * random.choice((2, 2, 3, 50))


def _insert(random: Random, data: bytearray) -> None:
    at = random.randint(0, len(data))
    data[at:at] = bytes(random.choices(_BYTES, k=random.choice((1, 1, 2, 8))))


def _cut_off(random: Random, data: bytearray) -> None:
    del data[random.randint(0, len(data)) :]


def _move(random: Random, data: bytearray) -> None:
    part = _part(random, data)
    moved = bytes(data[part])
    del data[part]
    at = random.randint(0, len(data))
    data[at:at] = moved


_CHANGES = (_flip, _set, _drop, _repeat, _insert, _cut_off, _move)
