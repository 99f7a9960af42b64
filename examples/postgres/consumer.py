#!/usr/bin/env python3
"""Keeps users, groups and access in PostgreSQL, in step with scimd. Needs psycopg 3.

SCIMD_URL, SCIMD_CERTIFICATE and SCIMD_TOKEN_FILE say where and how to ask; the argument is the connection string of the
database. Each page of events is one transaction, together with the cursor: after a crash of either side the page comes again,
and applying an event again changes nothing.
"""
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

import psycopg

ACCESS = "urn:scimd:scim:schemas:extension:access:1.0:User"
TABLES = """
create table if not exists feed (only_row boolean primary key default true check (only_row), cursor text not null);
create table if not exists users (id text primary key, user_name text not null, active boolean not null);
create table if not exists access (user_id text not null, value text not null, primary key (user_id, value));
create table if not exists groups (id text primary key, display_name text not null);
create table if not exists members (group_id text not null, member_id text not null, primary key (group_id, member_id));
"""


class Gone(Exception):
    """The cursor is too old, or of another directory."""


def get(path):
    """The body and the headers of an answer."""
    with open(os.environ["SCIMD_TOKEN_FILE"], encoding="ascii") as file:
        headers = {"Authorization": "Bearer " + file.read().strip()}
    request = urllib.request.Request(os.environ["SCIMD_URL"] + path, headers=headers)
    context = ssl.create_default_context(cafile=os.environ["SCIMD_CERTIFICATE"])
    try:
        with urllib.request.urlopen(request, timeout=90, context=context) as answer:
            return json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        if error.code == 410:
            raise Gone from error
        raise


def list_all(database):
    """Takes over all users and groups. What changes meanwhile comes after the cursor of the first page."""
    begin = None
    with database.transaction():
        database.execute("truncate users, access, groups, members")
        for path in (f"Users?attributes=userName,active,{ACCESS}:effective", "Groups?attributes=displayName,members"):
            cursor = ""
            while cursor is not None:
                page, headers = get(f"/scim/v2/{path}&count=500&cursor={cursor}")
                begin = begin or headers["Scimd-Cursor"]
                for resource in page["Resources"]:
                    put(database, resource)
                    set_access(database, resource["id"], [one["value"] for one in resource.get(ACCESS, {}).get("effective", [])])
                    add_members(database, resource["id"], [one["value"] for one in resource.get("members", [])])
                cursor = page.get("nextCursor")
        store_cursor(database, begin)


def apply(database, event):
    """Applies an event. Applying it again changes nothing."""
    kind, id_, data = event["type"], event["subject"].rsplit("/", 1)[1], event["data"]
    if kind == "user.deleted":
        database.execute("delete from users where id = %s", (id_,))
        database.execute("delete from access where user_id = %s", (id_,))
    elif kind == "group.deleted":
        database.execute("delete from groups where id = %s", (id_,))
        database.execute("delete from members where group_id = %s", (id_,))
    elif kind == "access.changed":
        set_access(database, id_, data["access"]["after"])
    elif "resource" in data:
        put(database, data["resource"])
        members = data.get("members", {})
        add_members(database, id_, members.get("added", []))
        removed = members.get("removed", [])
        database.execute("delete from members where group_id = %s and member_id = any(%s)", (id_, removed))


def put(database, resource):
    """Inserts or updates a user or a group."""
    if "userName" in resource:
        database.execute(
            "insert into users values (%s, %s, %s) on conflict (id) do update"
            " set user_name = excluded.user_name, active = excluded.active",
            (resource["id"], resource["userName"], resource.get("active") is True),
        )
    else:
        database.execute(
            "insert into groups values (%s, %s) on conflict (id) do update set display_name = excluded.display_name",
            (resource["id"], resource["displayName"]),
        )


def set_access(database, user, values):
    database.execute("delete from access where user_id = %s", (user,))
    database.execute("insert into access select %s, unnest(%s::text[]) on conflict do nothing", (user, values))


def add_members(database, group, members):
    database.execute("insert into members select %s, unnest(%s::text[]) on conflict do nothing", (group, members))


def store_cursor(database, cursor):
    database.execute("insert into feed (cursor) values (%s) on conflict (only_row) do update set cursor = excluded.cursor", (cursor,))


def step(database):
    """Lists everything if there is no cursor, otherwise applies the next page of events."""
    row = database.execute("select cursor from feed").fetchone()
    if row is None:
        list_all(database)
        return
    page, _ = get(f"/events?wait=30&limit=1000&after={row[0]}")
    with database.transaction():
        for event in page["events"]:
            apply(database, event)
        store_cursor(database, page["next"])


def main():
    with psycopg.connect(sys.argv[1], autocommit=True) as database:
        database.execute(TABLES)
        while True:
            try:
                step(database)
            except Gone:
                database.execute("delete from feed")
            except (OSError, json.JSONDecodeError) as error:
                print(f"{error}; trying again", file=sys.stderr)
                time.sleep(1)


if __name__ == "__main__":
    main()
