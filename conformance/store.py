"""The SQLite file of a run: every answered unit is in it at once; report, diff and gate read it.

A unit and all that belongs to it is one transaction, written ahead (WAL): killing the process at
any moment loses nothing that was answered.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from conformance.engine.plan import BackendInfo, Unit
from conformance.storefile import (
    APPLICATION_ID,
    VERSION,
    StoreError,
    check,
    connect,
    remove,
    transaction,
)
from conformance.verdicts import Answer, Finding, Times, UnitResult

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE backends (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE units (
    id TEXT PRIMARY KEY, backend TEXT NOT NULL, value TEXT NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0,
    wall_s REAL, library_s REAL, reference_s REAL, harness_s REAL
) WITHOUT ROWID;
CREATE TABLE answers (
    unit TEXT NOT NULL, op TEXT NOT NULL, oracle TEXT NOT NULL, dtypes TEXT NOT NULL,
    backend TEXT NOT NULL, verdict TEXT NOT NULL, compared INTEGER NOT NULL,
    worst REAL, allowed REAL, measure TEXT NOT NULL, why TEXT NOT NULL
);
CREATE TABLE findings (
    unit TEXT NOT NULL, id TEXT NOT NULL, op TEXT NOT NULL, oracle TEXT NOT NULL,
    backend TEXT NOT NULL, verdict TEXT NOT NULL, value TEXT NOT NULL
);
CREATE TABLE records (unit TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What makes a run what it is; `--resume` needs the same.

    selection: the globs and oracles asked for. shard: "I/N" or "". code: version of the checker.
    """

    seed: int
    tier: str
    selection: Mapping[str, Any]
    shard: str
    code: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "tier": self.tier,
            "selection": dict(self.selection),
            "shard": self.shard,
            "code": self.code,
        }


class Store:
    """Open one with `create`, `resume` or `read`; close it, or use it as a context manager."""

    def __init__(self, path: Path, write: bool) -> None:
        self.path = path
        self._writing = write
        self._db = connect(path, write)

    # -- opening ------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: Path,
        config: RunConfig,
        backends: Sequence[BackendInfo],
        units: Sequence[Unit],
    ) -> Store:
        """A new store with every unit still to be answered.

        An earlier run at `path` is kept beside it as `previous.sqlite`; any other file there is
        left alone. Raises StoreError.
        """
        if path.exists():
            check(path)
            cls(path, write=True).close()  # an interrupted run has a log to fold in
        fresh = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove(fresh)
            db = sqlite3.connect(fresh, isolation_level=None)
            db.executescript(
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
            )
            with transaction(db):
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                _set_meta(db, {**config.as_dict(), "complete": False})
                db.executemany(
                    "INSERT INTO backends VALUES (?, ?)",
                    [(info.name, _text(info)) for info in backends],
                )
                db.executemany(
                    "INSERT INTO units (id, backend, value) VALUES (?, ?, ?)",
                    [(unit.id, unit.backend, _text(unit)) for unit in units],
                )
            db.close()
            if path.exists():
                os.replace(path, path.with_name("previous.sqlite"))
                remove(path, "-wal", "-shm")
            os.replace(fresh, path)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{path.parent}: cannot write a run here ({error}); give another --out"
            ) from None
        return cls(path, write=True)

    @classmethod
    def resume(
        cls, path: Path, config: RunConfig, backends: Sequence[BackendInfo], units: Sequence[Unit]
    ) -> Store:
        """The store of an interrupted run. Raises StoreError when it is not this run's."""
        with cls.read(path) as store:
            store._check_same(config, backends, units)
        return cls(path, write=True)

    def _check_same(
        self, config: RunConfig, backends: Sequence[BackendInfo], units: Sequence[Unit]
    ) -> None:
        """Raises StoreError unless this is the run that is asked for, in the same environment."""
        meta = self.meta()
        for key, wanted in config.as_dict().items():
            if meta.get(key) != wanted:
                raise StoreError(
                    f"{self.path}: cannot resume, its {key} is {json.dumps(meta.get(key))} and "
                    f"not {json.dumps(wanted)}; ask the same, or leave out --resume"
                )
        before = {info.name: info for info in self.backends()}
        for info in backends:
            known = before.get(info.name)
            if known is None or known.available != info.available:
                raise StoreError(
                    f"{self.path}: cannot resume, {info.name} was "
                    f"{'there' if known and known.available else 'absent'} then and is not now "
                    "as it was; leave out --resume"
                )
            if (known.version, known.packages) != (info.version, info.packages):
                raise StoreError(
                    f"{self.path}: cannot resume, {info.name} is not as it was (then "
                    f"{known.version}, now {info.version}, or a package beside it changed); "
                    "leave out --resume"
                )
        if self.unit_ids() != {unit.id for unit in units}:
            raise StoreError(
                f"{self.path}: cannot resume, the tables of operations have changed; leave out "
                "--resume"
            )

    @classmethod
    def read(cls, path: Path) -> Store:
        """A finished or interrupted store. `path` may be its folder. Raises StoreError."""
        path = Path(path)
        if path.suffix != ".sqlite":
            path = path / "run.sqlite"
        check(path)
        return cls(path, write=False)

    def close(self) -> None:
        """Close; a writer folds the log into the one file first."""
        if self._writing:
            try:
                self._db.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError:
                pass  # someone reads it just now: the log stays beside it and is read with it
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------

    def add(self, result: UnitResult, wall_s: float) -> None:
        """Commit one answered unit; a unit is answered once."""
        times = result.times
        with transaction(self._db) as db:
            changed = db.execute(
                "UPDATE units SET answered = 1, wall_s = ?, library_s = ?, reference_s = ?, "
                "harness_s = ? WHERE id = ? AND answered = 0",
                (wall_s, times.library_s, times.reference_s, times.harness_s, result.unit),
            ).rowcount
            if changed != 1:
                raise StoreError(f"{self.path}: unit {result.unit!r} is not waiting for an answer")
            self._insert(db, result)

    def add_unasked(self, answers: Sequence[Answer]) -> None:
        """Answers that belong to no unit: what was not run, and why."""
        with transaction(self._db) as db:
            db.execute("DELETE FROM answers WHERE unit = ''")
            self._insert(
                db, UnitResult(unit="", answers=tuple(answers), findings=(), times=Times())
            )

    def _insert(self, db: sqlite3.Connection, result: UnitResult) -> None:
        db.executemany(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    result.unit, a.op, a.oracle, json.dumps(a.dtypes), a.backend, str(a.verdict),
                    a.compared, a.worst, a.allowed, a.unit, a.why,
                )
                for a in result.answers
            ],
        )  # fmt: skip
        db.executemany(
            "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (result.unit, f.id, f.op, f.oracle, f.backend, str(f.verdict), _text(f))
                for f in result.findings
            ],
        )
        db.executemany(
            "INSERT INTO records VALUES (?, ?, ?)",
            [(result.unit, record["kind"], _text(record)) for record in result.records],
        )

    def add_wall(self, seconds: float, peak_memory: int) -> None:
        """Add a stretch of wall time (a resumed run has several); keep the highest memory."""
        meta = self.meta()
        with transaction(self._db) as db:
            _set_meta(
                db,
                {
                    "wall_s": meta.get("wall_s", 0.0) + seconds,
                    "peak_memory": max(meta.get("peak_memory", 0), peak_memory),
                    "complete": not self.waiting(),
                },
            )

    # -- reading ------------------------------------------------------------------------------

    def meta(self) -> dict[str, Any]:
        return {k: json.loads(v) for k, v in self._db.execute("SELECT key, value FROM meta")}

    def backends(self) -> list[BackendInfo]:
        rows = self._db.execute("SELECT value FROM backends ORDER BY name")
        return [msgspec.json.decode(value, type=BackendInfo) for (value,) in rows]

    def unit_ids(self) -> set[str]:
        return {row[0] for row in self._db.execute("SELECT id FROM units")}

    def waiting(self) -> list[Unit]:
        """Units that have no answer yet, by id."""
        rows = self._db.execute("SELECT value FROM units WHERE answered = 0 ORDER BY id")
        return [msgspec.json.decode(value, type=Unit) for (value,) in rows]

    @property
    def complete(self) -> bool:
        return not self._db.execute("SELECT 1 FROM units WHERE answered = 0").fetchone()

    def counts(self) -> tuple[int, int]:
        """(units answered, units planned)."""
        return self._db.execute("SELECT coalesce(sum(answered), 0), count(*) FROM units").fetchone()

    def answers(self) -> Iterator[Answer]:
        """By operation, oracle, dtypes and backend."""
        rows = self._db.execute(
            "SELECT op, oracle, dtypes, backend, verdict, compared, worst, allowed, measure, why "
            "FROM answers ORDER BY op, oracle, dtypes, backend, unit"
        )
        for op, oracle, dtypes, backend, verdict, compared, worst, allowed, unit, why in rows:
            yield msgspec.convert(
                {
                    "op": op, "oracle": oracle, "dtypes": json.loads(dtypes), "backend": backend,
                    "verdict": verdict, "compared": compared, "worst": worst, "allowed": allowed,
                    "unit": unit, "why": why,
                },
                Answer,
            )  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        """As the units reported them; `conformance.results.findings` merges them by cause."""
        rows = self._db.execute("SELECT value FROM findings ORDER BY unit, rowid")
        for (value,) in rows:
            yield msgspec.json.decode(value, type=Finding)

    def records(self) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT value FROM records ORDER BY unit, rowid")
        return [json.loads(value) for (value,) in rows]

    def times(self) -> dict[str, float]:
        """Seconds: wall clock of the run, and worker time in library, reference and harness."""
        sums = self._db.execute(
            "SELECT coalesce(sum(library_s), 0.0), coalesce(sum(reference_s), 0.0), "
            "coalesce(sum(harness_s), 0.0) FROM units"
        ).fetchone()
        names = ("library_s", "reference_s", "harness_s")
        return {"wall_s": self.meta().get("wall_s", 0.0), **dict(zip(names, sums, strict=True))}

    def packages(self) -> dict[str, str]:
        """Versions over all workers; where two environments differ, `name (backend)` says which."""
        found: dict[str, str] = {}
        for info in self.backends():
            for name, version in info.packages.items():
                if found.setdefault(name, version) != version:
                    found[f"{name} ({info.name})"] = version
        return dict(sorted(found.items()))

    def not_run(self) -> dict[str, str]:
        """Backends that could not be asked, and why."""
        return {info.name: info.why for info in self.backends() if not info.available}


def _set_meta(db: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)",
        [(key, json.dumps(value)) for key, value in values.items()],
    )


def _text(value: Any) -> str:
    """JSON of a struct; numbers that JSON does not have become text."""
    return json.dumps(finite(msgspec.to_builtins(value)), ensure_ascii=False)


def finite(value: Any) -> Any:
    """JSON has no inf and nan: they travel as "inf", "-inf", "nan"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
