"""The registry of boxes: every column that holds one, so that a rotation misses none.

A column of bytes that is neither here nor in ``NO_BOXES`` fails the build and ``tokenvault check``: a table that a
rotation does not know would be lost with the old key.
"""

import sqlite3
from typing import NamedTuple


class Table(NamedTuple):
    """Where boxes are kept: ``name`` is the column that names a row, ``cursor`` the one that orders them."""

    store: str
    purpose: str
    schema: str
    table: str
    name: str
    cursor: str


REGISTRY = (
    Table("profiles", "profile", "vault", "profiles", "token", "id"),
    Table("profile_answers", "answer", "vault", "answers", "digest", "rowid"),
    Table("sessions", "session", "sessions", "sessions", "handle", "digest"),
    Table("session_answers", "answer", "sessions", "answers", "digest", "rowid"),
    Table("audit_details", "event", "vault", "audit_details", "sequence", "sequence"),
    Table("access_keys", "access", "vault", "access_keys", "id", "rowid"),
    Table("documents", "document", "vault", "documents", "name", "id"),
)

#: Columns of bytes that no rotation has to know, and why.
NO_BOXES = {
    "vault.answers.digest": "a digest",
    "vault.tags.digest": "a blind-index tag, made anew by the rotation of its own line",
    "vault.value_tags.digest": "a blind-index tag, made anew by the rotation of its own line",
    "vault.key_versions.canary": "sealed by its own key version for good: it vouches for that key",
    "vault.audit_events.details_digest": "a digest",
    "vault.audit_events.link": "a digest",
    "vault.audit_events.mac": "made anew by the rotation of its own line",
    "vault.audit_end.link": "a digest",
    "vault.audit_end.mac": "made anew with the next event",
    "vault.unlocks.digest": "a digest",
    "sessions.sessions.digest": "a digest",
    "sessions.answers.digest": "a digest",
}


def unregistered(connection: sqlite3.Connection, schema: str) -> list[str]:
    """Return the columns of bytes, "schema.table.column", that may hold boxes and that nobody has answered for."""
    known = {*NO_BOXES, *(f"{one.schema}.{one.table}.box" for one in REGISTRY)}
    columns = connection.execute(
        "SELECT t.name, c.name, upper(c.type) FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid"
    ).fetchall()
    return [
        f"{schema}.{table}.{column}"
        for table, column, kind in columns
        if (kind not in ("INTEGER", "INT", "REAL", "TEXT") or "box" in column.lower())
        and f"{schema}.{table}.{column}" not in known
    ]
