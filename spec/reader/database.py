"""spec/storage.md, section 2, read a second time: the pages of a vault's database, without SQLCipher."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from spec.reader.refusal import Refused

PAGE, IV, MAC = 4096, 16, 64
SALT = 16
TAIL = IV + MAC
MAGIC = b"SQLite format 3\0"


def open_pages(key: bytes, data: bytes) -> bytes:
    """The same database as SQLite writes it without a key; storage-failed when a page is not authentic."""
    if not data or len(data) % PAGE:
        raise Refused("storage-failed", "not whole pages")
    salt = data[:SALT]
    mac_key = hashlib.pbkdf2_hmac("sha512", key, bytes(byte ^ 0x3A for byte in salt), 2, 32)
    return b"".join(
        _open_page(key, mac_key, number, data[(number - 1) * PAGE : number * PAGE])
        for number in range(1, len(data) // PAGE + 1)
    )


def _open_page(key: bytes, mac_key: bytes, number: int, page: bytes) -> bytes:
    skip = SALT if number == 1 else 0
    body, iv, mac = page[skip : PAGE - TAIL], page[PAGE - TAIL : PAGE - MAC], page[PAGE - MAC :]
    if not any(page):
        raise Refused("storage-failed", f"page {number} is empty")
    if not hmac.compare_digest(hmac.digest(mac_key, body + iv + number.to_bytes(4, "little"), "sha512"), mac):
        raise Refused("storage-failed", f"page {number} is not authentic")
    reader = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return MAGIC[:skip] + reader.update(body) + reader.finalize() + bytes(TAIL)


def connect(key: bytes, data: bytes) -> sqlite3.Connection:
    """The database, in memory."""
    plain = bytearray(open_pages(key, data))
    plain[18:20] = b"\1\1"  # its log was written back before it was copied: no write-ahead log in memory
    connection = sqlite3.connect(":memory:")
    connection.deserialize(bytes(plain))
    if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise Refused("storage-failed", "the database is damaged")
    return connection
