"""What a home holds after a script: files with their modes, and the rows of databases.

A database is a dict of its tables, each a list of rows as text. What is kept in the cache of a session
database is unpacked, and is a table for each kind of what is remembered.
"""

import base64
import gzip
import json
import sqlite3
import stat
from pathlib import Path

# By-products of SQLite, and of Python.
PASSING = ("-wal", "-shm", ".pyc")


def contents(home):
    """By place: text files as (mode, text), tables as lists of rows."""
    found = {}
    for path in sorted(Path(home).rglob("*")):
        name = str(path.relative_to(home))
        if path.is_dir() or name.endswith(PASSING):
            continue
        if path.suffix == ".db":
            found.update({f"{name}/{table}": rows for table, rows in tables(path).items()})
        else:
            mode = stat.S_IMODE(path.lstat().st_mode)
            text = str(path.readlink()) if path.is_symlink() else path.read_bytes().decode(
                "utf-8", "backslashreplace"
            )
            # Blank lines of settings are nobody's.
            lines = [line for line in text.splitlines() if line or path.suffix != ".ini"]
            found[name] = [f"mode {mode:04o}", *lines]
    return found


def tables(path):
    found = {}
    database = sqlite3.connect(path)
    try:
        names = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        for name in sorted(names):
            cursor = database.execute(f"SELECT * FROM {name}")
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                row = dict(zip(columns, row, strict=True))
                if name == "image_cache":
                    kind, _, rest = row["kind"].partition(":")
                    table = f"image_cache/{kind}"
                    row = {"id": row["image_uuid"], "kind": rest, "value": unpacked(row["value"])}
                else:
                    table = name
                found.setdefault(table, []).append(json.dumps(row, ensure_ascii=False, sort_keys=True))
    finally:
        database.close()
    return {table: sorted(rows) for table, rows in found.items()}


def unpacked(value):
    """A value of the cache, as the program that reads it sees it."""
    if value.startswith("json:"):
        return json.loads(value[5:])
    if value.startswith("gzip:"):
        return json.loads(gzip.decompress(base64.b64decode(value[5:])))
    return json.loads(value)
