"""scim2-server over SQLite, for gunicorn: a storage as its manual asks for, which searches in SQL."""
import datetime
import os
import sqlite3
import threading
import uuid

from scim2_models import (
    InvalidFilterException, Meta, NotFoundException, PreconditionFailedException, UnauthorizedException,
    UniquenessException,
)
from scim2_models.path import CompareOperator, Comparison
from scim2_server.applications.wsgi import WSGIApplication
from scim2_server.storage import ScimStorage, SearchPage
from scim2_server.utils import load_default_provider

AUTHORIZATION = f"Bearer {os.environ['TOKEN']}"
TABLE = """
CREATE TABLE IF NOT EXISTS resources (
    number INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    user_name TEXT,
    version INTEGER NOT NULL,
    created TEXT NOT NULL,
    modified TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (type, user_name)
)
"""


class Storage(ScimStorage):
    """Resources as JSON, with columns for what is searched."""

    def __init__(self, path, provider):
        self.path, self.provider, self.local = path, provider, threading.local()
        # Threads that wait for each other here do not sleep until SQLite tries again.
        self.writing = threading.Lock()
        self.write(TABLE)

    def execute(self, statement, *values):
        """Runs and commits a statement on the connection of this thread."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        return connection.execute(statement, values)

    def write(self, statement, *values):
        """Runs and commits a change, which is synced; how many rows it changed."""
        try:
            with self.writing:
                return self.execute(statement, *values).rowcount
        except sqlite3.IntegrityError:
            raise UniquenessException from None

    def get(self, resource_type, resource_id, *, response_parameters=None):
        row = self.execute("SELECT * FROM resources WHERE type = ? AND id = ?", resource_type.name, resource_id).fetchone()
        if row is None:
            raise NotFoundException
        return self.read(resource_type, row)

    def search(self, resource_types, search_request, *, position=None):
        resource_type = resource_types[0]
        where, values = "type = ?", [resource_type.name]
        if search_request.filter is not None:
            where += " AND user_name = ?"
            values.append(searched_name(search_request.filter))
        total = self.execute(f"SELECT count(*) FROM resources WHERE {where}", *values).fetchone()[0]
        limit = -1 if search_request.count is None else search_request.count
        rows = self.execute(
            f"SELECT * FROM resources WHERE {where} ORDER BY number LIMIT ? OFFSET ?",
            *values, limit, (search_request.start_index or 1) - 1,
        )
        return SearchPage(total, [self.read(resource_type, row) for row in rows])

    def create(self, resource_type, resource):
        created, now = uuid.uuid4().hex, datetime.datetime.now(datetime.UTC).isoformat()
        self.write(
            "INSERT INTO resources (type, id, user_name, version, created, modified, body) VALUES (?, ?, ?, 1, ?, ?, ?)",
            resource_type.name, created, unique_name(resource), now, now, resource.model_dump_json(),
        )
        return self.get(resource_type, created)

    def update(self, resource_type, resource, *, expected_version=None):
        changed = self.write(
            "UPDATE resources SET user_name = ?, modified = ?, body = ?, version = version + 1"
            " WHERE type = ? AND id = ? AND (? IS NULL OR version = ?)",
            unique_name(resource), datetime.datetime.now(datetime.UTC).isoformat(), resource.model_dump_json(),
            resource_type.name, resource.id, *[number(expected_version)] * 2,
        )
        stored = self.get(resource_type, resource.id)
        if not changed:
            raise PreconditionFailedException
        return stored

    def delete(self, resource_type, resource_id, *, expected_version=None):
        changed = self.write(
            "DELETE FROM resources WHERE type = ? AND id = ? AND (? IS NULL OR version = ?)",
            resource_type.name, resource_id, *[number(expected_version)] * 2,
        )
        if not changed:
            self.get(resource_type, resource_id)
            raise PreconditionFailedException

    def read(self, resource_type, row):
        _, _, identifier, _, version, created, modified, body = row
        resource = self.provider.model_for(resource_type).model_validate_json(body)
        resource.id = identifier
        resource.meta = Meta(
            resource_type=resource_type.name, created=created, last_modified=modified, version=f'W/"{version}"'
        )
        return resource


def unique_name(resource):
    name = getattr(resource, "user_name", None)
    return None if name is None else name.casefold()


def searched_name(scim_filter):
    """The name that `userName eq` looks for: the one filter of the bench."""
    node = scim_filter.ast
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or str(node.attr_path).lower() != "username":
        raise InvalidFilterException
    return node.value.casefold()


def number(version):
    return None if version is None else int(version.removeprefix("W/").strip('"'))


class Application(WSGIApplication):
    def check_auth(self, request):
        if request.header("Authorization") != AUTHORIZATION:
            raise UnauthorizedException


provider = load_default_provider()
app = Application(Storage(os.environ["DATABASE"], provider), provider)
