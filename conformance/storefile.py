"""The file under a store: whose it is, whether it is whole, and how it is written safely."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

APPLICATION_ID = 0x54434F4E  # "TCON", for file(1) and for us
VERSION = 1


class StoreError(Exception):
    """The file is missing, foreign, damaged or cannot be written: one line for people."""


def check(path: Path) -> None:
    """Refuse, before SQLite touches it, what is not an undamaged store. Raises StoreError."""
    try:
        with open(path, "rb") as file:
            head = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise StoreError(
            f"{path}: no such run; `conformance run --out {path.parent}` makes one"
        ) from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise StoreError(f"{path}: not a store of `conformance run`; it is left as it is")
    page, pages, version, application = (
        struct.unpack_from(">H", head, 16)[0],
        struct.unpack_from(">I", head, 28)[0],
        struct.unpack_from(">I", head, 60)[0],
        struct.unpack_from(">I", head, 68)[0],
    )
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: an SQLite file of another program; it is left as it is")
    if version != VERSION:
        raise StoreError(f"{path}: store format {version}, this version reads {VERSION}; run again")
    if size < pages * (65536 if page == 1 else page):
        raise StoreError(f"{path}: truncated ({size} bytes); run again into another --out")


def write_atomically(path: Path, text: str) -> None:
    """Raises StoreError; what stood at `path` stays until the new text is whole."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None


def connect(path: Path, write: bool) -> sqlite3.Connection:
    """Open a store that `check` has let pass. Raises StoreError when its inside is damaged."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        (sound,) = db.execute("PRAGMA quick_check").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(" ".join(sound.split()))
        if write:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing
    except sqlite3.Error as error:
        db.close()
        raise StoreError(f"{path}: damaged ({error}); run again into another --out") from None
    return db


class transaction:
    """BEGIN IMMEDIATE … COMMIT, rolled back on any exception, Ctrl-C included."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __enter__(self) -> sqlite3.Connection:
        self.db.execute("BEGIN IMMEDIATE")
        return self.db

    def __exit__(self, kind: object, *_: object) -> None:
        self.db.execute("COMMIT" if kind is None else "ROLLBACK")


def remove(path: Path, *suffixes: str) -> None:
    for suffix in suffixes or ("",):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
