"""The only SQL of the gateway: few statements, each for many rows.

Everything on the hot path goes to the driver as one ``executemany`` of plain tuples, no ORM
objects: tens of thousands of rows a second pass here. Each statement is compiled once per
dialect; times are integers and need no conversion. Both databases refuse a second effect of
the same message by primary key, so all of this may be done twice.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    bindparam,
    case,
    delete,
    func,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import Dialect

from gateway.commands import MOVES, CommandStatus, End, Send, Wish
from gateway.errors import StartError
from gateway.events import Event, EventRow, to_row
from gateway.presence import Presence
from gateway.protocol import BankId, CommandId, CommandKind, Outcome, Refused, Result
from gateway.shadow import Shadow, unheard
from gateway.tables import COMMAND, CONFIG, DEAD_LETTER, EVENT, SAMPLE, SHADOW

_OPEN = (CommandStatus.CREATED, CommandStatus.SENT)


class WantedLetter(NamedTuple):
    """A dead letter that is to be taken in again."""

    id: str
    topic: str
    payload: bytes
    reason: str
    received_at_ms: int


class Letter(NamedTuple):
    """A message that was not believed."""

    topic: str
    payload: bytes
    reason: str
    detail: str
    received_at_ms: int


class OpenCommand(NamedTuple):
    """A command that is not over, with what is known of its bank."""

    bank: BankId
    wish: Wish
    args: str
    shadow: Shadow | None


class StaleConfig(NamedTuple):
    """A bank that has not confirmed the settings wished for it."""

    bank: BankId
    version: int
    report_s: int
    low_battery: int
    min_output_battery: int


class Store:
    """The gateway's side of the seam.

    Args:
        engine: SQLite or PostgreSQL, migrated. On SQLite its transactions begin IMMEDIATE.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, or not at all."""
        with self._engine.begin() as connection:
            yield connection

    def check(self) -> None:
        """Refuse to start on a database without our tables.

        Raises:
            StartError: it has not been migrated.
        """
        if not inspect(self._engine).has_table("bank_shadow"):
            msg = f"The database {self._engine.url} has no Lendwatt tables: run `lendwatt migrate`."
            raise StartError(msg)

    # -- the hot path -----------------------------------------------------------------

    def shadows(self, connection: Connection, banks: Iterable[BankId]) -> dict[BankId, Shadow]:
        """The shadows of some banks, locked in id order where the database locks rows."""
        wanted = sorted(set(banks))
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(_SHADOWS_SQLITE, (json.dumps(wanted),))
            found = {row[0]: Shadow._make(row) for row in rows.all()}
            return {bank: found.get(bank) or unheard(bank) for bank in wanted}
        found = _locked(connection, wanted)
        new = [bank for bank in wanted if bank not in found]
        if new:  # what is not there cannot be locked: of two replicas, one would be forgotten
            blank = [(*unheard(bank), None) for bank in new]
            _many(connection, SHADOW, (*Shadow._fields, "said"), blank)
            found |= _locked(connection, new)
        return found

    def save_shadows(
        self, connection: Connection, shadows: Iterable[Shadow], said: Mapping[BankId, str]
    ) -> None:
        """Write shadows over what was there, and with them the states that they now are."""
        rows = [(*shadow, said.get(shadow.bank_id)) for shadow in shadows]
        _many(connection, SHADOW, (*Shadow._fields, "said"), rows, newest_wins=True)

    def add_events(self, connection: Connection, events: Iterable[Event]) -> None:
        """Add events; one that is there already is left as it is."""
        _many(connection, EVENT, EventRow._fields, [to_row(event) for event in events])

    def add_samples(self, connection: Connection, shadows: Iterable[Shadow]) -> None:
        """Add battery history, a row for each shadow."""
        rows = [(s.bank_id, s.sampled_at_ms, s.battery, s.energy_mwh) for s in shadows]
        _many(connection, SAMPLE, _SAMPLE_COLUMNS, rows)

    def add_dead_letters(self, connection: Connection, letters: Iterable[Letter]) -> None:
        """Keep what was not believed."""
        rows = [(_letter_id(letter), *letter) for letter in letters]
        _many(connection, DEAD_LETTER, ("id", *Letter._fields), rows)

    def wanted_letters(self, connection: Connection, limit: int) -> list[WantedLetter]:
        """Dead letters that an operator wants taken in again, the oldest first."""
        rows = connection.execute(
            select(*(DEAD_LETTER.c[name] for name in WantedLetter._fields))
            .where(DEAD_LETTER.c.wanted_at_ms.is_not(None))
            .order_by(DEAD_LETTER.c.received_at_ms)
            .limit(limit)
        )
        return [WantedLetter._make(row) for row in rows]

    def close_letter(
        self, connection: Connection, letter_id: str, *, problem: str | None, at_ms: int
    ) -> None:
        """Note what came of taking a letter in again; one that was refused stays open."""
        if problem is None:
            outcome = {"outcome": "replayed", "closed_at_ms": at_ms}
        else:
            outcome = {"outcome": f"refused again: {problem}", "closed_at_ms": None}
        connection.execute(
            update(DEAD_LETTER)
            .where(DEAD_LETTER.c.id == letter_id)
            .values(wanted_at_ms=None, **outcome)
        )

    def note_results(
        self, connection: Connection, results: Iterable[tuple[BankId, Result]]
    ) -> None:
        """Note banks' own words on their commands; of another bank's command they say nothing."""
        rows = [
            {
                "b_id": result.command,
                "b_bank": bank,
                "b_result": f"{result.status}:{result.reason or ''}",
            }
            for bank, result in sorted(results, key=lambda each: each[1].command)
        ]
        if rows:
            connection.execute(
                update(COMMAND)
                .where(
                    COMMAND.c.id == bindparam("b_id"),
                    COMMAND.c.bank_id == bindparam("b_bank"),
                    COMMAND.c.attempts > 0,
                )
                .values(result=bindparam("b_result")),
                rows,
            )

    # -- commands ---------------------------------------------------------------------

    def open_commands(self, connection: Connection, limit: int) -> list[OpenCommand]:
        """Each bank's oldest open command, and then those in doubt, the lately heard banks first.

        A bank that never comes back leaves one in doubt for ever: it must not crowd out the rest.
        """
        in_doubt = COMMAND.c.status == CommandStatus.UNKNOWN
        oldest = (
            select(func.min(COMMAND.c.id))
            .where(COMMAND.c.status.in_(_OPEN))
            .group_by(COMMAND.c.bank_id)
        )
        rows = connection.execute(
            select(COMMAND, SHADOW)
            .join(SHADOW, SHADOW.c.bank_id == COMMAND.c.bank_id, isouter=True)
            .where(in_doubt | COMMAND.c.id.in_(oldest))
            .order_by(
                case((in_doubt, 1), else_=0),
                case((in_doubt, -func.coalesce(SHADOW.c.heard_at_ms, 0)), else_=0),
                COMMAND.c.created_at_ms,
                COMMAND.c.id,
            )
            .limit(limit)
        )
        width = len(COMMAND.c)
        return [_open_command(row[:width], row[width:]) for row in rows]

    def mark_sent(
        self, connection: Connection, command: OpenCommand, send: Send, now_ms: int
    ) -> bool:
        """Count a sending before it is made; False when somebody else moved the command."""
        return self._move(
            connection,
            command,
            status=CommandStatus.SENT,
            boot=send.boot,
            not_after_ms=send.not_after_ms,
            attempts=command.wish.attempts + 1,
            sent_at_ms=now_ms,
            result=None,
        )

    def mark_ended(
        self, connection: Connection, command: OpenCommand, end: End, now_ms: int
    ) -> bool:
        """End a command, or put it in doubt; False when somebody else moved it."""
        assert end.status in MOVES[command.wish.status], (command.wish, end)  # noqa: S101
        return self._move(
            connection, command, status=end.status, reason=end.reason, ended_at_ms=now_ms
        )

    def _move(self, connection: Connection, command: OpenCommand, **values: Any) -> bool:
        moved = connection.execute(
            update(COMMAND)
            .where(
                COMMAND.c.id == command.wish.id,
                COMMAND.c.status == command.wish.status,
                COMMAND.c.attempts == command.wish.attempts,
            )
            .values(**values)
        )
        return moved.rowcount == 1

    # -- presence, config, history ----------------------------------------------------

    def silent(self, connection: Connection, *, before_ms: int, limit: int) -> list[Shadow]:
        """Banks that count as there, and have not been heard since, or left a Last Will."""
        rows = connection.execute(
            select(SHADOW)
            .where(
                SHADOW.c.presence != Presence.OFFLINE,
                (SHADOW.c.heard_at_ms < before_ms) | SHADOW.c.will_at_ms.is_not(None),
            )
            .order_by(SHADOW.c.heard_at_ms)
            .limit(limit)
        )
        return [Shadow._make(row[:-1]) for row in rows]

    def set_presence(self, connection: Connection, shadow: Shadow, presence: Presence) -> bool:
        """Move a bank's presence unless it was heard meanwhile."""
        moved = connection.execute(
            update(SHADOW)
            .where(
                SHADOW.c.bank_id == shadow.bank_id,
                SHADOW.c.heard_at_ms == shadow.heard_at_ms,
                SHADOW.c.presence == shadow.presence,
            )
            .values(presence=presence)
        )
        return moved.rowcount == 1

    def stale_configs(
        self, connection: Connection, *, not_sent_since_ms: int, limit: int
    ) -> list[StaleConfig]:
        """Banks that are there and have not confirmed the settings wished for them."""
        rows = connection.execute(
            select(
                CONFIG.c.bank_id,
                CONFIG.c.version,
                CONFIG.c.report_s,
                CONFIG.c.low_battery,
                CONFIG.c.min_output_battery,
            )
            .join(SHADOW, SHADOW.c.bank_id == CONFIG.c.bank_id)
            .where(
                SHADOW.c.presence != Presence.OFFLINE,
                func.coalesce(SHADOW.c.config_version, -1) != CONFIG.c.version,
                func.coalesce(CONFIG.c.sent_at_ms, 0) <= not_sent_since_ms,
            )
            .limit(limit)
        )
        return [StaleConfig._make(row) for row in rows]

    def mark_config_sent(self, connection: Connection, bank: BankId, now_ms: int) -> None:
        """Remember when a bank's settings were last published."""
        connection.execute(update(CONFIG).where(CONFIG.c.bank_id == bank).values(sent_at_ms=now_ms))

    def prune(self, connection: Connection, *, samples_before_ms: int, letters_max: int) -> None:
        """Drop history that is past keeping."""
        connection.execute(delete(SAMPLE).where(SAMPLE.c.at_ms < samples_before_ms))
        newest = (
            select(DEAD_LETTER.c.id)
            .order_by(DEAD_LETTER.c.received_at_ms.desc())
            .limit(letters_max)
        )
        connection.execute(delete(DEAD_LETTER).where(DEAD_LETTER.c.id.not_in(newest)))


def _letter_id(letter: Letter) -> str:
    content = f"{letter.topic}\0{letter.received_at_ms}\0".encode() + letter.payload
    return hashlib.sha256(content).hexdigest()


def _open_command(command: Sequence[Any], shadow: Sequence[Any]) -> OpenCommand:
    row = dict(zip(COMMAND.c.keys(), command, strict=True))
    outcome, _, reason = (row["result"] or "").partition(":")
    return OpenCommand(
        bank=BankId(row["bank_id"]),
        wish=Wish(
            id=CommandId(row["id"]),
            kind=CommandKind(row["kind"]),
            status=CommandStatus(row["status"]),
            expires_at_ms=row["expires_at_ms"],
            boot=row["boot"],
            not_after_ms=row["not_after_ms"],
            attempts=row["attempts"],
            sent_at_ms=row["sent_at_ms"],
            outcome=Outcome(outcome) if outcome else None,
            reason=Refused(reason) if reason else None,
        ),
        args=row["args"],
        shadow=None if shadow[0] is None else Shadow._make(shadow[:-1]),
    )


# -- bulk statements ------------------------------------------------------------------

_COLUMNS = ", ".join(Shadow._fields)
_SHADOWS_SQLITE = (
    f"SELECT {_COLUMNS} FROM bank_shadow WHERE bank_id IN (SELECT value FROM json_each(?))"  # noqa: S608
)
_SHADOWS_POSTGRESQL = (
    f"SELECT {_COLUMNS} FROM bank_shadow WHERE bank_id = ANY(%s) ORDER BY bank_id FOR UPDATE"  # noqa: S608
)


def _locked(connection: Connection, banks: list[BankId]) -> dict[BankId, Shadow]:
    rows = connection.exec_driver_sql(_SHADOWS_POSTGRESQL, (banks,))
    return {row[0]: Shadow._make(row) for row in rows.all()}


_ROWS_AT_ONCE = 100
"""Rows in one statement; both databases allow ten times its parameters."""
_SAMPLE_COLUMNS = ("bank_id", "at_ms", "battery", "energy_mwh")


def _many(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    newest_wins: bool = False,
) -> None:
    """Plain tuples, many to a statement; a row that is there is overwritten, or left.

    Not ``executemany``: SQLite's driver gives Python's lock away at every row, and the thread
    that reads the socket takes it; that cost about a tenth of all there was.
    """
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = rows[first : first + _ROWS_AT_ONCE]
        sql = _bulk_sql(table, columns, connection.dialect, len(chunk), newest_wins=newest_wins)
        connection.exec_driver_sql(sql, tuple(chain.from_iterable(chunk)))


@lru_cache(maxsize=512)
def _bulk_sql(
    table: Table, columns: tuple[str, ...], dialect: Dialect, rows: int, *, newest_wins: bool
) -> str:
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    marks = f"({', '.join([mark] * len(columns))})"
    keys = [column.name for column in table.primary_key]
    sets = ", ".join(
        f"{name} = coalesce(excluded.{name}, {table.name}.{name})"
        if name == "said"  # a birth or a will moves the shadow, and is not a state
        else f"{name} = excluded.{name}"
        for name in columns
        if name not in keys
    )
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([marks] * rows)} "  # noqa: S608
        f"ON CONFLICT ({', '.join(keys)}) DO "
        + (f"UPDATE SET {sets}" if newest_wins else "NOTHING")
    )
