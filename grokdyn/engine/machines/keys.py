"""A key and a certificate for one run: what the processes of a local cluster know each other by.

dask makes such a pair with the package ``cryptography``. The standard library can use keys but makes none, so that
the few lines of arithmetic are here: an elliptic curve key on P-256 and a certificate that it signs itself (X.509).
Both live in memory only, for as long as the run, and never leave the machine.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta

# The curve y^2 = x^3 - 3 x + b modulo FIELD, and a point on it of prime order ORDER (FIPS 186-4, P-256).
FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None  # None: the point at infinity
SIZE = 32

# Object identifiers, ready encoded.
CURVE = bytes.fromhex("06082a8648ce3d030107")  # prime256v1
PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")  # ecPublicKey
SIGNED_BY = bytes.fromhex("06082a8648ce3d040302")  # ecdsa-with-SHA256
COMMON_NAME = bytes.fromhex("0603550403")
SUBJECT_KEY, KEY_USAGE, CONSTRAINTS, AUTHORITY_KEY = (bytes.fromhex(f"0603551d{n:02x}") for n in (14, 15, 19, 35))
YES = b"\x01\x01\xff"
# How long the certificate counts, from a day ago: clocks of containers differ.
DAYS = 3650


def pair(name: str) -> tuple[str, str]:
    """Return a new private key and its certificate, both as PEM text."""
    secret = 1 + secrets.randbelow(ORDER - 1)
    public = encoded(times(secret, BASE))
    inside = sequence(number(1), element(0x04, whole(secret)), element(0xA0, CURVE), element(0xA1, bits(public)))
    return pem("EC PRIVATE KEY", inside), pem("CERTIFICATE", certificate(name, secret, public))


def certificate(name: str, secret: int, public: bytes) -> bytes:
    """Return a certificate of a public key, signed by the key itself."""
    called = sequence(element(0x31, sequence(COMMON_NAME, element(0x0C, name.encode()))))
    now, known = datetime.now(UTC), hashlib.sha256(public).digest()[:20]
    dates = sequence(*(time(now + timedelta(days=days)) for days in (-1, DAYS)))
    extensions = sequence(
        sequence(CONSTRAINTS, YES, element(0x04, sequence(YES))),
        sequence(KEY_USAGE, YES, element(0x04, b"\x03\x02\x02\x84")),  # signs messages, and certificates
        sequence(SUBJECT_KEY, element(0x04, element(0x04, known))),
        sequence(AUTHORITY_KEY, element(0x04, sequence(element(0x80, known)))),
    )
    told = sequence(
        element(0xA0, number(2)),
        number(secrets.randbits(120)),
        sequence(SIGNED_BY),
        called,
        dates,
        called,
        sequence(sequence(PUBLIC_KEY, CURVE), bits(public)),
        element(0xA3, extensions),
    )
    return sequence(told, sequence(SIGNED_BY), bits(sequence(*(number(part) for part in signature(told, secret)))))


def signature(message: bytes, secret: int) -> tuple[int, int]:
    """Sign a message (ECDSA with SHA-256)."""
    digest = int.from_bytes(hashlib.sha256(message).digest())
    while True:
        once = 1 + secrets.randbelow(ORDER - 1)
        point = times(once, BASE)
        r = point[0] % ORDER if point else 0
        s = (digest + r * secret) * pow(once, -1, ORDER) % ORDER
        if r and s:
            return r, s


def times(factor: int, point: Point) -> Point:
    """Return a multiple of a point, by doubling and adding."""
    total: Point = None
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def add(one: Point, other: Point) -> Point:
    """Return the sum of two points of the curve."""
    if one is None or other is None:
        return other if one is None else one
    (x, y), (u, v) = one, other
    if x == u and (y + v) % FIELD == 0:
        return None
    slope = (3 * x * x - 3) * pow(2 * y, -1, FIELD) if one == other else (v - y) * pow(u - x, -1, FIELD)
    across = (slope * slope - x - u) % FIELD
    return across, (slope * (x - across) - y) % FIELD


def whole(value: int) -> bytes:
    return value.to_bytes(SIZE)


def encoded(point: Point) -> bytes:
    """Return a point as certificates hold it, uncompressed."""
    assert point is not None
    return b"\x04" + whole(point[0]) + whole(point[1])


def element(tag: int, content: bytes) -> bytes:
    """Return content in DER: its tag, its length, itself."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*contents: bytes) -> bytes:
    return element(0x30, b"".join(contents))


def number(value: int) -> bytes:
    return element(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def bits(content: bytes) -> bytes:
    return element(0x03, b"\x00" + content)


def time(when: datetime) -> bytes:
    """Return a time of the years up to 2049 with two digits, as the standard wants, later ones with four."""
    if when.year < 2050:
        return element(0x17, when.strftime("%y%m%d%H%M%SZ").encode())
    return element(0x18, when.strftime("%Y%m%d%H%M%SZ").encode())


def pem(what: str, content: bytes) -> str:
    text = base64.b64encode(content).decode()
    lines = (text[i : i + 64] for i in range(0, len(text), 64))
    return "\n".join((f"-----BEGIN {what}-----", *lines, f"-----END {what}-----", ""))
