"""What must hold of several nodes, one scene after the other.

    scenarios.py BINARY [NAME ...] [PART/PARTS]      the names are parts of names; 1/2 is every other one
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import network
from cluster import Cluster, Node, NotMeasured

SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def first_token(node):
    return re.search(r"^Token\s+(scimd_\w+)", node.log(), re.MULTILINE).group(1)


def create(node, name, token):
    return node.request("POST", "/scim/v2/Users", {"schemas": [SCHEMA], "userName": name}, token)


def find(node, name, token):
    status, answer = node.request("GET", f"/scim/v2/Users?filter=userName%20eq%20%22{name}%22", None, token)
    return status, answer["totalResults"] if status == 200 else answer


def rename(node, id, value, token):
    operation = {"op": "replace", "path": "displayName", "value": value}
    return node.request("PATCH", f"/scim/v2/Users/{id}", {"schemas": [PATCH], "Operations": [operation]}, token)[0]


def eventually(holds, what, limit=20):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {limit} s: {what}")


def started(cluster):
    cluster.nodes[0].start("--first-boot")
    for node in cluster.nodes[1:]:
        node.start()
    return first_token(cluster.nodes[0])


def what_one_node_has_acknowledged_the_others_answer_with(scene):
    cluster = scene(nodes=3)
    token = started(cluster)
    for number in range(30):
        name = f"user{number}@example.com"
        assert create(cluster.nodes[number % 3], name, token)[0] == 201
        assert find(cluster.nodes[(number + 1) % 3], name, token) == (200, 1)
        assert create(cluster.nodes[(number + 2) % 3], name, token)[0] == 409
    listed = cluster.nodes[1].run("nodes").stdout
    assert listed.count("running") == 2 and "this node" in listed, listed
    other = cluster.nodes[1].run("token", "generate", "--connection", "okta").stdout.strip()
    eventually(lambda: find(cluster.nodes[2], "user1@example.com", other) == (200, 1), "the token is known")
    row = [line for line in cluster.nodes[0].run("token", "list").stdout.splitlines() if line][-1]
    cluster.nodes[0].run("token", "revoke", row.split()[0], check=False)
    answers = {find(node, "user1@example.com", other)[0] for node in cluster.nodes}
    assert answers == {401}, answers


def a_reload_puts_settings_in_force_on_all_nodes(scene):
    cluster = scene(nodes=2)
    token = started(cluster)
    one, two = cluster.nodes
    config = one.folder / "config.toml"
    config.write_text(config.read_text() + '[[roles]]\nname = "Night shift"\n')
    one.run("reload", "--force")
    eventually(lambda: "another node has changed the settings" in two.log(), "the other node follows")
    status, answer = two.request("GET", "/scim/v2/Roles", None, token)
    if status == 200:
        assert "Night shift" in str(answer), answer
    assert "differ from the configuration file" in two.log()
    body = {"schemas": [SCHEMA], "userName": "night@example.com", "roles": [{"value": "Night shift"}]}
    assert two.request("POST", "/scim/v2/Users", body, token)[0] == 201
    # A start does not put the file of one node in force while others run, and says that it differs.
    two.end()
    two.start(wait=False)
    body["userName"] = "other@example.com"
    eventually(lambda: two.request("POST", "/scim/v2/Users", body, token)[0] == 201, "the node serves by the log")
    assert two.request("GET", "/readyz")[0] == 503
    assert "differ from the configuration of this one in roles" in two.run("status", check=False).stdout
    file = two.folder / "config.toml"
    file.write_text(file.read_text() + '[[roles]]\nname = "Night shift"\n')
    two.run("reload")
    assert two.request("GET", "/readyz")[0] == 200


def a_replaced_primary_gives_no_old_value(scene):
    cluster = scene(nodes=2, standby=True)
    token = started(cluster)
    one, two = cluster.nodes
    id = create(one, "ada@example.com", token)[1]["id"]
    assert rename(one, id, "before", token) == 200
    # Node one alone still reaches the old primary, whose standby takes over.
    two.end()
    one.end()
    one.write_url([cluster.primary])
    two.write_url([cluster.standby])
    one.start()
    assert one.request("GET", f"/scim/v2/Users/{id}", None, token)[1]["displayName"] == "before"
    cluster.standby.promote()
    cluster.standby.query("ALTER SYSTEM SET synchronous_standby_names = ''", "postgres")
    cluster.standby.query("SELECT pg_reload_conf()", "postgres")
    two.start()
    assert rename(two, id, "after", token) == 200
    # The proof of one second ago may still hold for one answer that was asked for before the promotion, not after 2 s.
    time.sleep(2)
    for _ in range(5):
        status, answer = one.request("GET", f"/scim/v2/Users/{id}", None, token, timeout=20)
        assert status == 503, (status, answer)
    status, answer = create(one, "lost@example.com", token)
    assert status == 503, (status, answer)
    # Back at the primary in force, the node goes on.
    one.write_url([cluster.standby])
    one.kill()
    one.start()
    assert one.request("GET", f"/scim/v2/Users/{id}", None, token)[1]["displayName"] == "after"


def a_commit_whose_wait_for_the_standby_was_cancelled_is_not_acknowledged(scene):
    cluster = scene(nodes=1, standby=True)
    token = started(cluster)
    node = cluster.nodes[0]
    id = create(node, "ada@example.com", token)[1]["id"]
    assert rename(node, id, "before", token) == 200
    cluster.standby.send(signal.SIGSTOP)
    statuses = []
    change = threading.Thread(target=lambda: statuses.append(rename(node, id, "cancelled", token)))
    change.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE usename = 'scimd' AND wait_event = 'SyncRep'"
    deadline = time.monotonic() + 30
    while change.is_alive() and time.monotonic() < deadline:
        for pid in cluster.primary.query(waiting, "postgres").split():
            cluster.primary.query(f"SELECT pg_cancel_backend({pid})", "postgres")
        time.sleep(0.05)
    change.join()
    assert statuses == [503], statuses
    cluster.standby.send(signal.SIGCONT)
    eventually(lambda: rename(node, id, "later", token) == 200, "changes go on")


def a_primary_that_hangs_is_left_for_the_server_that_has_replaced_it(scene):
    cluster = scene(nodes=2, standby=True)
    token = started(cluster)
    id = create(cluster.nodes[0], "ada@example.com", token)[1]["id"]
    assert rename(cluster.nodes[0], id, "before", token) == 200
    hung, new = cluster.primary, cluster.standby
    hung.send(signal.SIGSTOP)
    new.promote()
    new.query("ALTER SYSTEM SET synchronous_standby_names = ''", "postgres")
    new.query("SELECT pg_reload_conf()", "postgres")
    begun = time.monotonic()
    for node in cluster.nodes:
        eventually(lambda: rename(node, id, "after", token) == 200, "changes go on", limit=60)
    print(f"  changes went on {time.monotonic() - begun:.1f} s after the promotion")
    hung.send(signal.SIGCONT)
    time.sleep(1)
    for node in cluster.nodes:
        status, answer = node.request("GET", f"/scim/v2/Users/{id}", None, token)
        assert (status, answer["displayName"]) == (200, "after")


def an_acknowledged_change_survives_a_crash_of_the_primary(scene):
    cluster = scene(nodes=1)
    token = started(cluster)
    node = cluster.nodes[0]
    id = create(node, "ada@example.com", token)[1]["id"]
    for number in range(4):
        assert rename(node, id, f"value {number}", token) == 200
        cluster.primary.stop("immediate")
        cluster.primary.start()
        eventually(lambda: node.request("GET", "/readyz")[0] == 200, "ready again")
        status, answer = node.request("GET", f"/scim/v2/Users/{id}", None, token)
        assert (status, answer["displayName"]) == (200, f"value {number}")


def lose_an_answer(cluster, node, name, token):
    """Commits a change and ends the connection before it is answered."""
    cluster.standby.send(signal.SIGSTOP)
    answers = []
    change = threading.Thread(target=lambda: answers.append(create(node, name, token)))
    change.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE usename = 'scimd' AND wait_event = 'SyncRep' AND query LIKE 'COMMIT%'"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not (waits := cluster.primary.query(waiting, "postgres").split()):
        time.sleep(0.02)
    # Whichever of them waits: the change is committed here, and its answer is lost.
    for pid in waits:
        cluster.primary.query(f"SELECT pg_terminate_backend({pid})", "postgres")
    time.sleep(0.5)
    cluster.standby.send(signal.SIGCONT)
    change.join()
    assert answers[0][0] in (201, 503), answers
    eventually(lambda: find(node, name, token)[0] == 200, "reads go on")
    if answers[0][0] == 201:
        assert find(node, name, token) == (200, 1)


def a_change_with_a_lost_answer_is_made_once(scene):
    cluster = scene(nodes=1, standby=True)
    token = started(cluster)
    node = cluster.nodes[0]
    for number in range(4):
        lose_an_answer(cluster, node, f"once{number}@example.com", token)


def without_the_database_local_reads_go_on(scene):
    cluster = scene(nodes=2, standby=False)
    one, two = cluster.nodes
    config = two.folder / "config.toml"
    config.write_text(config.read_text().replace('reads = "latest"', 'reads = "local"'))
    token = started(cluster)
    id = create(one, "ada@example.com", token)[1]["id"]
    eventually(lambda: find(two, "ada@example.com", token) == (200, 1), "the other node has it")
    cluster.primary.stop("immediate")
    path = f"/scim/v2/Users/{id}"
    assert two.request("GET", path, None, token)[0] == 200
    assert one.request("GET", path, None, token)[0] == 503
    for node in cluster.nodes:
        status, answer = create(node, "new@example.com", token)
        assert status == 503 and "database" in answer["detail"], (status, answer)
        assert node.request("GET", "/healthz")[0] == 200
        eventually(lambda: node.request("GET", "/readyz")[0] == 503, "not ready")
    cluster.primary.start()
    for node in cluster.nodes:
        node.wait_until_ready()
        assert find(node, "ada@example.com", token) == (200, 1)
    assert create(one, "after@example.com", token)[0] == 201
    assert "the database can be used again" in one.log()


def a_fresh_node_and_one_that_was_away_get_all(scene):
    cluster = scene(nodes=3, standby=False)
    one, two, three = cluster.nodes
    one.start("--first-boot")
    token = first_token(one)
    two.start()
    two.end()
    for number in range(40):
        assert create(one, f"user{number}@example.com", token)[0] == 201
    two.start()
    three.start()
    for node in (two, three):
        status, answer = node.request("GET", "/scim/v2/Users?count=0", None, token)
        assert (status, answer["totalResults"]) == (200, 40)
    # Whatever is wrong with the copy is copied again.
    three.end()
    file = sorted((three.folder / "data/journal").iterdir())[0]
    file.write_bytes(file.read_bytes()[:400] + b"x" * 100 + file.read_bytes()[500:])
    three.start()
    assert "copying the log again" in three.log()
    status, answer = three.request("GET", "/scim/v2/Users?count=0", None, token)
    assert (status, answer["totalResults"]) == (200, 40)
    # Backup, check and audit trail work on any node.
    three.run("backup", "copy.scimd-backup")
    three.run("verify")
    three.run("audit", "--verify")
    heads = {node.run("audit", "--verify", "--json").stdout for node in (two, three)}
    assert len({re.search(r'"head": *"([^"]*)"|$', head).group(1) for head in heads}) == 1, heads


def a_wrong_database_is_refused_in_one_sentence(scene):
    cluster = scene(nodes=2, standby=True)
    token = started(cluster)
    one, two = cluster.nodes
    assert create(one, "ada@example.com", token)[0] == 201
    for node in cluster.nodes:
        node.end()
    primary, standby = cluster.primary, cluster.standby

    def refused(node, *words):
        before = len(node.log())
        node.start(wait=False)
        try:
            code = node.process.wait(30)
        except subprocess.TimeoutExpired:
            node.kill()
            raise AssertionError(f"it started; expected {words}") from None
        said = node.log()[before:]
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert code in (1, 2) and len(errors) == 1 and all(word in errors[0] for word in words), said

    def with_url(node, url):
        (node.folder / "url").write_text(url)

    address = f"127.0.0.1:{primary.port}"
    hba = primary.data / "pg_hba.conf"
    rules = hba.read_text()
    hba.write_text("host scimd locked 127.0.0.1/32 scram-sha-256\n" + rules)
    primary.query("CREATE ROLE locked LOGIN PASSWORD 'right'", "postgres")
    primary.query("CREATE ROLE bare LOGIN", "postgres")
    primary.query("CREATE DATABASE empty", "postgres")
    # As it is by itself from PostgreSQL 15 on.
    primary.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "empty")
    primary.query("SELECT pg_reload_conf()", "postgres")
    with_url(one, f"postgres://locked:wrong@{address}/scimd?sslmode=disable")
    refused(one, "password authentication failed")
    with_url(one, f"postgres://bare@{address}/scimd?sslmode=disable")
    refused(one, "permission denied", "grant")
    with_url(one, f"postgres://scimd@{address}/scimd?sslmode=verify-full")
    refused(one, "TLS")
    with_url(one, "postgres://scimd@db.example.com/scimd?sslmode=disable")
    refused(one, "only for a server on this machine")
    with_url(one, f"postgres://scimd@127.0.0.1:{standby.port}/scimd?sslmode=disable")
    refused(one, "standby")
    with_url(one, f"postgres://scimd@{address}/empty?sslmode=disable")
    refused(one, "no tables of scimd")
    new = Node(cluster.binary, cluster.folder, "new", [primary])
    with_url(new, f"postgres://bare@{address}/empty?sslmode=disable")
    refused(new, "can't be created", "GRANT")
    assert not (new.folder / "data/node").exists(), "it could still keep its log in files"
    one.write_url([primary])

    def with_setting(change, back, *words):
        primary.query(change, "postgres")
        refused(one, *words)
        primary.query(back, "postgres")

    with_setting("ALTER ROLE scimd SET synchronous_commit = off", "ALTER ROLE scimd RESET synchronous_commit",
                 "synchronous_commit = off")
    with_setting("ALTER ROLE scimd SET synchronous_commit = remote_write", "ALTER ROLE scimd RESET synchronous_commit",
                 "synchronous_commit = remote_write")
    primary.query("UPDATE scimd_meta SET version = 2")
    refused(one, "format 2", "install the version")
    primary.query("UPDATE scimd_meta SET version = 1")
    # A node of another log.
    primary.query("CREATE DATABASE other OWNER scimd", "postgres")
    with_url(new, f"postgres://scimd@{address}/other?sslmode=disable")
    new.start("--first-boot")
    new.end()
    new.write_url([primary])
    refused(new, "other nodes")
    # An older database, and one that was altered.
    one.start()
    two.start()
    last = int(primary.query("SELECT max(sequence) FROM scimd_log"))
    assert create(one, "newer@example.com", token)[0] == 201
    # Both have it by then.
    assert find(two, "newer@example.com", token) == (200, 1)
    two.end()
    primary.query("CREATE TABLE kept AS SELECT * FROM scimd_log")
    primary.query(f"DELETE FROM scimd_log WHERE sequence > {last}")
    # A running node appends nothing behind what is not there.
    status, answer = create(one, "none@example.com", token)
    assert status == 503, (status, answer)
    eventually(lambda: one.request("GET", "/readyz")[0] == 503, "the running node is not ready")
    assert int(primary.query("SELECT max(sequence) FROM scimd_log")) == last
    assert "older database" in one.log(), one.log()[-3000:]
    one.end()
    refused(two, "older database was restored")
    primary.query(f"INSERT INTO scimd_log SELECT * FROM kept WHERE sequence > {last}")
    primary.query("UPDATE scimd_log SET hash = decode(repeat('00', 32), 'hex') WHERE sequence = (SELECT max(sequence) FROM scimd_log)")
    refused(two, "altered by hand")


def a_certificate_that_nobody_vouches_for_is_refused(scene):
    cluster = scene(nodes=2)
    one, two = cluster.nodes
    data = cluster.primary.data

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=cluster.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "2")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=db")
    (cluster.folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "server.crt", "-days", "2",
            "-extfile", "names")
    for name in ("server.crt", "server.key"):
        shutil.copy(cluster.folder / name, data / name)
        (data / name).chmod(0o600)
        if cluster.primary.owner:
            os.chown(data / name, cluster.primary.owner.pw_uid, cluster.primary.owner.pw_gid)
    cluster.primary.query("ALTER SYSTEM SET ssl = on", "postgres")
    cluster.primary.query("SELECT pg_reload_conf()", "postgres")
    url = f"postgres://scimd@127.0.0.1:{cluster.primary.port}/scimd?sslmode=verify-full"
    (one.folder / "url").write_text(f"{url}&sslrootcert={cluster.folder / 'ca.pem'}")
    one.start("--first-boot")
    assert create(one, "ada@example.com", first_token(one))[0] == 201
    encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'scimd'"
    assert cluster.primary.query(encrypted) == "t"
    (two.folder / "url").write_text(url)
    two.start(wait=False)
    assert two.process.wait(30) == 1
    assert "certificate" in two.log() and "UnknownIssuer" in two.log(), two.log()


SCENES = [
    what_one_node_has_acknowledged_the_others_answer_with,
    a_reload_puts_settings_in_force_on_all_nodes,
    a_replaced_primary_gives_no_old_value,
    a_commit_whose_wait_for_the_standby_was_cancelled_is_not_acknowledged,
    a_primary_that_hangs_is_left_for_the_server_that_has_replaced_it,
    an_acknowledged_change_survives_a_crash_of_the_primary,
    a_change_with_a_lost_answer_is_made_once,
    without_the_database_local_reads_go_on,
    a_fresh_node_and_one_that_was_away_get_all,
    a_certificate_that_nobody_vouches_for_is_refused,
    a_wrong_database_is_refused_in_one_sentence,
]


def main():
    # They use what is above.
    import common
    import moves
    import outside

    binary = pathlib.Path(sys.argv[1])
    parts = [word for word in sys.argv[2:] if "/" in word] or ["1/1"]
    part, parts = map(int, parts[0].split("/"))
    wanted = [word for word in sys.argv[2:] if "/" not in word]
    network.enter()
    failed = False
    for number, scene in enumerate(SCENES + outside.SCENES + common.SCENES + moves.SCENES):
        if number % parts != part - 1:
            continue
        if wanted and not any(word in scene.__name__ for word in wanted):
            continue
        begun = time.monotonic()
        clusters = []
        with tempfile.TemporaryDirectory() as folder:

            def make(nodes, standby=False):
                clusters.append(Cluster(binary, folder, nodes, standby))
                return clusters[-1]

            try:
                scene(make)
                outcome = "ok"
            except NotMeasured as error:
                outcome = f"NOT MEASURED: {error}"
            except Exception as error:
                failed = True
                traceback.print_exc(file=sys.stdout)
                outcome = f"FAILED: {error!r} {getattr(error, 'stderr', '')}"
                for cluster in clusters:
                    for node in cluster.nodes:
                        if (node.folder / "log").exists():
                            lines = node.log().splitlines()
                            bad = [line for line in lines[:-30] if " INFO " not in line]
                            print(f"--- log of {node.name}", *bad[-20:], "...", *lines[-30:], sep="\n")
            finally:
                if network.is_available():
                    network.heal()
                for cluster in clusters:
                    cluster.end()
        print(f"{scene.__name__}: {outcome} ({time.monotonic() - begun:.0f} s)", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
