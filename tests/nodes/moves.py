"""Scenes in which the log moves into the database and back, and is trimmed there. `scenarios.py` plays them."""

import json
import re
import shutil
import signal
import subprocess
import threading
import time

from scenarios import create, eventually, find, first_token, lose_an_answer


def all_serve(cluster, users, token):
    """Starts both nodes, each of which must have all users and a whole audit log."""
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        status, answer = node.request("GET", "/scim/v2/Users?count=0", None, token)
        assert (status, answer["totalResults"]) == (200, users), answer
        node.run("audit", "--verify")


def set_engine(node, engine):
    file = node.folder / "config.toml"
    file.write_text(re.sub(r'engine = "\w+"', f'engine = "{engine}"', file.read_text()))


def fails(node, *words, arguments=("migrate", "--to", "postgres")):
    """A command that is refused in one sentence, which has these words."""
    done = node.run(*arguments, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode in (1, 2) and len(errors) == 1, (done.returncode, done.stderr)
    assert all(word in errors[0] for word in words), errors


def a_server_moves_its_log_into_a_database_while_it_serves_and_back(scene):
    cluster = scene(nodes=2)
    one, two = cluster.nodes
    set_engine(one, "local")
    one.start("--first-boot")
    token = first_token(one)
    # Enough for many groups of rows, some of which are killed half way.
    made, stop = [], threading.Event()

    def write():
        while not stop.is_set():
            name = f"user{len(made)}@example.com"
            assert create(one, name, token)[0] == 201
            made.append(name)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: len(made) > 3000, "some users", limit=60)
        for pause in (0.03, 0.06, 0.1, 0.15):
            command = subprocess.Popen([str(one.binary), "migrate", "--to", "postgres"], cwd=one.folder)
            time.sleep(pause)
            command.kill()
            command.wait()
        first = one.run("migrate", "--to", "postgres")
        assert "stop scimd" in first.stderr, first
        copied = int(cluster.primary.query("SELECT max(sequence) FROM scimd_log"))
        assert copied > 3000
        # No node may start on it, and not on a directory of another log.
        two.start(wait=False)
        assert two.process.wait(30) == 1 and "still being moved" in two.log(), two.log()
        fails(two, "no audit log")
        before = len(made)
        eventually(lambda: len(made) > before + 20, "writes go on", limit=30)
    finally:
        stop.set()
        writer.join()
    one.end()
    second = one.run("migrate", "--to", "postgres")
    assert 'engine = "postgres"' in second.stdout, second
    assert int(cluster.primary.query("SELECT count(*) FROM scimd_log")) > copied
    fails(one, "already")
    # A server that would serve from the files does not start.
    one.start(wait=False)
    assert one.process.wait(30) == 1 and "belongs to a node" in one.log()
    set_engine(one, "postgres")
    all_serve(cluster, len(made), token)
    assert find(two, made[-1], token) == (200, 1)
    assert create(two, "later@example.com", token)[0] == 201
    made.append("later@example.com")

    # Back: not while a node runs.
    to_local = ("migrate", "--to", "local")
    fails(one, "in use", arguments=to_local)
    one.end()
    fails(one, "node", "is running", arguments=to_local)
    two.end()
    # What the copy lacks is fetched, and a copy that is damaged is not taken.
    time.sleep(10.5)
    file = sorted((one.folder / "data/journal").iterdir())[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:400] + b"x" * 100 + whole[500:])
    fails(one, "damaged", "start the node once", arguments=to_local)
    file.write_bytes(whole)
    back = one.run(*to_local)
    assert 'engine = "local"' in back.stdout, back
    fails(one, "is not the data directory of a node", arguments=to_local)
    set_engine(one, "local")
    one.start()
    status, answer = one.request("GET", "/scim/v2/Users?count=0", None, token)
    assert (status, answer["totalResults"]) == (200, len(made)), answer
    assert create(one, "alone@example.com", token)[0] == 201
    made.append("alone@example.com")
    before = len(two.log())
    two.start(wait=False)
    assert two.process.wait(30) == 1 and "moved out of this database" in two.log()[before:], two.log()
    # The directory of another node can't take the database over.
    fails(two, "another server has the log")
    one.end()
    one.run("audit", "--verify")
    one.run("verify")
    # And once more into the database, where most of it still is.
    one.run("migrate", "--to", "postgres")
    # As if it had ended just before the last step: nothing starts, and it is finished by this directory alone.
    own, other = ((node.folder / "data/node").read_text().strip() for node in cluster.nodes)
    for owner in (other, own):
        cluster.primary.query(f"UPDATE scimd_meta SET state = 'copying', owner = decode('{owner}', 'hex')")
        fails(one, "belongs to a node", arguments=("token", "revoke", "none"))
        if owner == other:
            fails(one, "another server has the log or moves it")
    one.run("migrate", "--to", "postgres")
    set_engine(one, "postgres")
    all_serve(cluster, len(made), token)
    # A node that hangs while the log is moved out of the database appends nothing and answers nothing later.
    # Its connections are open before that.
    assert create(two, "open@example.com", token)[0] == 201
    two.send(signal.SIGSTOP)
    one.end()
    time.sleep(10.5)
    one.run(*to_local)
    two.send(signal.SIGCONT)
    for _ in range(5):
        assert create(two, "lost@example.com", token)[0] in (0, 503)
        assert find(two, "alone@example.com", token)[0] == 503
    eventually(lambda: "moved out of this database" in two.log()[before + 1000:] or "no longer in this database" in two.log(), "it says why")


def a_log_is_not_moved_into_a_wrong_database(scene):
    cluster = scene(nodes=2, standby=False)
    one, two = cluster.nodes
    primary = cluster.primary
    for node in cluster.nodes:
        set_engine(node, "local")
        node.start("--first-boot")
        assert create(node, "ada@example.com", first_token(node))[0] == 201
    address = f"127.0.0.1:{primary.port}"
    primary.query("CREATE ROLE bare LOGIN", "postgres")
    primary.query("CREATE DATABASE empty", "postgres")
    # As it is by itself from PostgreSQL 15 on.
    primary.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "empty")
    url = two.folder / "url"
    for text, *words in (
        ("mysql://scimd", "postgres://"),
        (f"postgres://bare@{address}/empty?sslmode=disable", "can't be created", "GRANT"),
        (f"postgres://scimd@{address}/none?sslmode=disable", "none"),
        (f"postgres://scimd@127.0.0.1:1/scimd?sslmode=disable", "refused"),
    ):
        url.write_text(text)
        fails(two, *words)
    two.write_url([primary])
    one.run("migrate", "--to", "postgres")
    fails(two, "another log")
    # The tables have more than the files, and something else than the files.
    one.end()
    old = one.folder / "old"
    shutil.copytree(one.folder / "data", old)
    one.start()
    assert create(one, "bob@example.com", first_token(one))[0] == 201
    assert create(one, "eve@example.com", first_token(one))[0] == 201
    one.run("migrate", "--to", "postgres")
    one.end()
    shutil.move(one.folder / "data", one.folder / "new")
    shutil.move(old, one.folder / "data")
    fails(one, "but the one of this server with change")
    one.start()
    for name in range(6):
        assert create(one, f"other{name}@example.com", first_token(one))[0] == 201
    one.end()
    fails(one, "differs")
    shutil.rmtree(one.folder / "data")
    shutil.move(one.folder / "new", one.folder / "data")
    primary.query("DELETE FROM scimd_log WHERE sequence = 2")
    fails(one, "not whole")
    set_engine(one, "local")
    # Nothing was done: the files are served as before, until a database takes them.
    primary.query("DROP TABLE scimd_meta, scimd_log")
    one.start()
    assert find(one, "eve@example.com", first_token(one)) == (200, 1)
    one.end()
    one.run("migrate", "--to", "postgres")


def the_log_is_trimmed_behind_a_snapshot_from_which_nodes_begin(scene):
    cluster = scene(nodes=4, standby=True)
    for node in cluster.nodes:
        file = node.folder / "config.toml"
        file.write_text(file.read_text() + 'snapshot_interval = "1s"\nkeep_snapshots = 1\nkeep_journal = "1s"\n'
                        '[events]\nretention = "0s"\n')
    one, two, three, four = cluster.nodes
    primary = cluster.primary

    def number(what):
        return int(primary.query(f"SELECT {what}") or 0)

    def holds(node, count):
        status, answer = node.request("GET", "/scim/v2/Users?count=0", None, token)
        assert (status, answer["totalResults"]) == (200, count), answer

    one.start("--first-boot")
    token = first_token(one)
    two.start()
    two.end()
    away = number("max(sequence) FROM scimd_log")
    for count in range(60):
        assert create(one, f"user{count}@example.com", token)[0] == 201
    eventually(lambda: number("max(sequence) FROM scimd_snapshot") >= away + 60, "a snapshot is there")
    # A snapshot alone is not enough: it may be damaged.
    one.run("user", "deactivate", "user0@example.com")
    first = number("max(sequence) FROM scimd_log")
    eventually(lambda: number("count(*) FROM scimd_snapshot") == 2, "another snapshot is there")
    # What a node may still need stays, although it is old.
    time.sleep(3)
    assert number("min(sequence) FROM scimd_log") <= away, "the slowest node that was seen lately can catch up"
    primary.query("UPDATE scimd_node SET seen = seen - interval '1 hour' WHERE applied <= " + str(away))
    eventually(lambda: number("min(sequence) FROM scimd_log") > away, "the log is trimmed")
    assert number("min(sequence) FROM scimd_log") <= number("max(sequence) FROM scimd_snapshot")
    assert number("count(*) FROM scimd_log") > 0
    # A fresh node, also one that is killed at the beginning, and one that was away.
    for pause in (0.05, 0.15, 0.3):
        three.start(wait=False)
        time.sleep(pause)
        three.kill()
    three.start()
    two.start()
    for node in (two, three):
        holds(node, 60)
        node.run("verify")
        node.run("audit", "--verify")
        assert "No events" in node.run("events").stderr, "none is kept"
    assert "away for longer" in two.log() and "beginning from the newest snapshot" in two.log(), two.log()[-3000:]
    assert list((two.folder / "data").glob("journal.old-*")), "the old log is set aside"
    # All goes on from there, behind a log that is trimmed further.
    for count, node in enumerate((one, two, three)):
        assert create(node, f"later{count}@example.com", token)[0] == 201
        head = number("max(sequence) FROM scimd_log")
        eventually(lambda: number("max(sequence) FROM scimd_snapshot") >= head, "the next snapshot")
    lose_an_answer(cluster, two, "later3@example.com", token)
    # The starts that were killed have left nodes.
    eventually(lambda: number(f"count(*) FROM scimd_node WHERE applied > {first}") == 3, "all have copied more")
    primary.query("UPDATE scimd_node SET seen = seen - interval '1 hour' WHERE applied <= " + str(first))
    eventually(lambda: number("min(sequence) FROM scimd_log") > first, "the log is trimmed again", limit=40)
    lose_an_answer(cluster, three, "later4@example.com", token)
    for name, days, applied in (("gone", 91, first), ("never", 2, 0), ("away", 89, first), ("new", 0, 0)):
        primary.query("INSERT INTO scimd_node (id, name, version, beat, seen, applied) VALUES "
                      f"('{name}', '{name}', '0.1.0', 1, now() - interval '{days} days', {applied})")
    assert create(one, "later5@example.com", token)[0] == 201
    for node in (one, two, three):
        eventually(lambda: find(node, "later5@example.com", token) == (200, 1), "all is there")
    # The same events with the same ids, from what all of them keep.
    ids = set.intersection(*({json.loads(event)["id"] for event in node.run("events", "--json").stdout.splitlines()}
                             for node in (one, two, three)))
    events = {node.run("events", "--json", "--after", min(ids)).stdout for node in (one, two, three)}
    assert len(events) == 1 and "later5" in events.pop()
    eventually(lambda: number("count(*) FROM scimd_snapshot") <= 2, "older snapshots are removed")
    stays = "SELECT string_agg(name, ' ' ORDER BY name) FROM scimd_node WHERE name IN ('gone', 'never', 'away', 'new')"
    eventually(lambda: primary.query(stays) == "away new", "nodes that were not seen for long are removed")
    primary.query("DELETE FROM scimd_node WHERE name IN ('away', 'new')")
    for node in (two, three):
        node.end()
    # A snapshot that is damaged is not used: the one before it is, or none.
    damage = "UPDATE scimd_snapshot_part SET body = set_byte(body, 20, 255 - get_byte(body, 20)) WHERE part = 0"
    one.end()
    assert number("count(*) FROM scimd_snapshot") == 2
    primary.query(f"{damage} AND sequence = (SELECT max(sequence) FROM scimd_snapshot)")
    four.start()
    holds(four, 66)
    assert "is damaged; using an older one" in four.log(), four.log()
    four.end()
    shutil.rmtree(four.folder / "data")
    primary.query("UPDATE scimd_snapshot SET sha256 = ''")
    four.start(wait=False)
    assert four.process.wait(30) == 1 and "no snapshot" in four.log(), four.log()
    # A running node appends nothing behind what is not there: the newest row is what counts.
    one.start()
    last = number("max(sequence) FROM scimd_log")
    assert create(one, "newer@example.com", token)[0] == 201
    primary.query(f"DELETE FROM scimd_log WHERE sequence > {last}")
    assert create(one, "none@example.com", token)[0] == 503
    assert number("max(sequence) FROM scimd_log") == last


def a_server_with_a_trimmed_log_moves_into_a_database(scene):
    cluster = scene(nodes=2)
    one, two = cluster.nodes
    set_engine(one, "local")
    one.start("--first-boot")
    token = first_token(one)
    assert create(one, "ada@example.com", token)[0] == 201
    one.end()
    # A restored backup is a log that begins with a snapshot.
    one.run("backup", "copy.scimd-backup")
    shutil.move(one.folder / "data", one.folder / "moved")
    one.run("restore", "copy.scimd-backup", "--unsigned")
    one.run("migrate", "--to", "postgres")
    set_engine(one, "postgres")
    one.start()
    two.start()
    for node in cluster.nodes:
        assert find(node, "ada@example.com", token) == (200, 1)
        node.run("audit", "--verify")
    assert create(two, "bob@example.com", token)[0] == 201
    assert find(one, "bob@example.com", token) == (200, 1)
    one.run("backup", "node.scimd-backup")
    one.end()
    # What is not done on a node is refused, and says what to do; a backup of a node is restored into files.
    fails(one, "start scimd", arguments=("recover", "--from-database", "recovered"))
    shutil.move(one.folder / "data", one.folder / "node")
    fails(one, "migrate --to postgres", arguments=("restore", "node.scimd-backup", "--unsigned"))
    assert not (one.folder / "data").exists()
    set_engine(one, "local")
    one.run("restore", "node.scimd-backup", "--unsigned")
    fails(one, "another log")
    one.start()
    assert find(one, "bob@example.com", token) == (200, 1)


SCENES = [
    a_server_moves_its_log_into_a_database_while_it_serves_and_back,
    a_log_is_not_moved_into_a_wrong_database,
    the_log_is_trimmed_behind_a_snapshot_from_which_nodes_begin,
    a_server_with_a_trimmed_log_moves_into_a_database,
]
