"""Scenes about what is common to the nodes: settings, connections, webhooks, the format of the log. `scenarios.py` plays them."""

import base64
import http.server
import json
import shutil
import signal
import threading
import time

from scenarios import create, eventually, first_token, started

ROLE = '[[roles]]\nname = "Night shift"\n'


def append(node, text):
    config = node.folder / "config.toml"
    config.write_text(config.read_text() + text)


def a_reload_is_refused_while_the_file_of_another_node_differs(scene):
    cluster = scene(nodes=2)
    started(cluster)
    one, two = cluster.nodes

    def changes(node):
        return node.run("audit", "--json").stdout.count('"settings.changed"')

    assert changes(one) == 1
    append(one, ROLE)
    refused = one.run("reload", check=False)
    assert refused.returncode == 1 and "differs in roles" in refused.stderr, refused.stderr
    two_id = (two.folder / "data/node").read_text()[:8]
    assert two_id in refused.stderr and "--force" in refused.stderr, refused.stderr
    assert changes(one) == 1
    # A signal is answered in the log.
    before = len(one.log())
    one.send(1)
    eventually(lambda: "reload failed" in one.log()[before:], "the signal is answered")
    assert "differs in roles" in one.log()[before:] and changes(one) == 1
    # A file with errors is named as such.
    file = two.folder / "config.toml"
    right = file.read_text()
    file.write_text(right + "wrong")
    refused = one.run("reload", check=False)
    assert refused.returncode == 1 and "has errors" in refused.stderr, refused.stderr
    # What concerns this node alone is reloaded meanwhile.
    config = one.folder / "config.toml"
    config.write_text(config.read_text().replace(ROLE, ""))
    one.run("reload")
    append(one, ROLE)
    # Equal files, without a reload of the other one.
    file.write_text(right + ROLE)
    one.run("reload")
    eventually(lambda: "they are in force here, too" in two.log(), "the other node follows")
    assert changes(two) == 2
    assert "differ from the configuration file" not in two.log()
    assert all(node.request("GET", "/readyz")[0] == 200 for node in cluster.nodes)
    # By force it goes ahead.
    append(one, '[[roles]]\nname = "Day shift"\n')
    assert one.run("reload", check=False).returncode == 1
    one.run("reload", "--force")
    eventually(lambda: "differ from the configuration file" in two.log(), "the other node says so")
    # The file of a node that does not run does not count.
    two.end()
    append(one, '[[roles]]\nname = "Late shift"\n')
    eventually(lambda: one.run("reload", check=False).returncode == 0, "the other node is gone", limit=30)


def a_node_that_knows_less_than_the_format_refuses_and_keeps_others_from_raising_it(scene):
    cluster = scene(nodes=2)
    started(cluster)
    one, two = cluster.nodes
    said = one.run("nodes", "upgrade").stderr
    assert "has format 1, the newest" in said, said
    # As if this version knew one format more than the nodes had when the log began.
    cluster.primary.query("UPDATE scimd_meta SET version = 0")
    cluster.primary.query(
        "INSERT INTO scimd_node (id, name, version, beat, seen, applied, format) "
        "VALUES (decode(repeat('ab', 16), 'hex'), 'old', '0.0.9', 1, now() + interval '1 minute', 0, 0)"
    )
    refused = one.run("nodes", "upgrade", check=False)
    assert refused.returncode == 1 and "old (abababab): 0" in refused.stderr, refused.stderr
    assert cluster.primary.query("SELECT version FROM scimd_meta") == "0"
    cluster.primary.query("UPDATE scimd_node SET seen = now() - interval '11 seconds' WHERE name = 'old'")
    said = one.run("nodes", "upgrade").stderr
    assert "format 1 from now on" in said, said
    assert cluster.primary.query("SELECT version FROM scimd_meta") == "1"
    # Running nodes notice a format that they do not know, and a start refuses it.
    cluster.primary.query("UPDATE scimd_meta SET version = 2")
    for node in cluster.nodes:
        eventually(lambda: node.request("GET", "/readyz")[0] == 503, "not ready")
        assert "has format 2" in node.log(), node.log()
        node.end()
    two.start(wait=False)
    assert two.process.wait(30) == 1
    last = [line for line in two.log().splitlines() if line.startswith("error: ")]
    assert len(last) == 1 and "has format 2" in last[0] and "up to 1" in last[0], last


class Receiver:
    """Takes the events of a webhook, and notes each with its time."""

    def __init__(self):
        self.events, self.pause, self.guard, self.open, self.overlaps = [], 0, threading.Lock(), 0, 0
        self.is_down = False
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if receiver.is_down:
                    self.send_error(503)
                    return
                with receiver.guard:
                    receiver.open += 1
                    receiver.overlaps += receiver.open > 1
                time.sleep(receiver.pause)
                with receiver.guard:
                    receiver.open -= 1
                    receiver.events += [(event["id"], event["type"], time.monotonic()) for event in body]
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def created(self):
        return [id for id, kind, _ in self.events if kind.endswith("user.created")]

    def settings(self):
        return (
            f'[webhooks.crm]\nurl = "http://127.0.0.1:{self.server.server_port}/"\nsecret_file = "secret"\n'
        )


def with_webhook(cluster, receiver):
    for node in cluster.nodes:
        append(node, receiver.settings())
        secret = node.folder / "secret"
        secret.write_text("whsec_" + base64.b64encode(b"x" * 32).decode())
        secret.chmod(0o600)


def sender(cluster):
    """The node that sends, and the others."""
    listed = {}
    for node in cluster.nodes:
        webhooks = json.loads(node.run("webhook", "list", "--json").stdout)
        listed[node.name] = (node, webhooks[0])
    sends = [node for node, webhook in listed.values() if webhook["sends"]]
    others = [(node, webhook) for node, webhook in listed.values() if not webhook["sends"]]
    assert len(sends) == 1, listed
    id = (sends[0].folder / "data/node").read_text()[:8]
    assert all(id in webhook.get("sent_by", "") for _, webhook in others), listed
    return sends[0], [node for node, _ in others]


def sends_one(cluster):
    try:
        sender(cluster)
        return True
    except AssertionError:
        return False


def one_node_sends_each_event_of_a_webhook_and_another_takes_over(scene):
    cluster = scene(nodes=2)
    receiver = Receiver()
    with_webhook(cluster, receiver)
    token = started(cluster)
    eventually(lambda: sends_one(cluster), "one node sends")
    count = 0

    def more(nodes, number):
        nonlocal count
        for step in range(number):
            assert create(nodes[step % len(nodes)], f"user{count}@example.com", token)[0] == 201
            count += 1

    def all_arrive(limit=60):
        eventually(lambda: len(set(receiver.created())) == count, f"all {count} arrive", limit)

    for _ in range(4):
        more(cluster.nodes, 10)
        time.sleep(0.7)
    all_arrive()
    assert len(receiver.created()) == count and receiver.overlaps == 0, "each event once"
    # The events of both nodes are the same ones.
    one, two = cluster.nodes
    first, (second,) = sender(cluster)
    assert "sent by" in second.run("webhook", "list").stdout
    assert "sent by" in second.run("status", check=False).stdout
    # An operator's request on a node that does not send reaches the one that does.
    before = len(receiver.created())
    second.run("webhook", "resend", "crm", "--after", "oldest")
    eventually(lambda: len(receiver.created()) == before + count, "all are sent again")
    assert sender(cluster)[0] is first and receiver.overlaps == 0
    second.run("webhook", "test", "crm")
    # The node that sends is killed while it sends.
    receiver.pause = 0.2
    stop = threading.Event()

    def change():
        while not stop.is_set():
            more([second], 1)

    changing = threading.Thread(target=change)
    changing.start()
    time.sleep(1.5)
    first.kill()
    killed = time.monotonic()
    known = len(receiver.events)
    eventually(lambda: len(receiver.events) > known + 5, "the other node takes over", limit=12)
    print(f"  the other node sent {time.monotonic() - killed:.1f} s after the kill")
    stop.set()
    changing.join()
    all_arrive()
    assert receiver.overlaps == 0
    # It comes back, and leaves the sending to the other.
    receiver.pause = 0
    first.start()
    eventually(lambda: sends_one(cluster), "one node sends")
    assert sender(cluster)[0] is second
    # The node that sends is paused, and comes back.
    more([first], 5)
    all_arrive()
    # What is sent within a second before a pause may come twice.
    time.sleep(1.5)
    known = len(receiver.created())
    second.send(signal.SIGSTOP)
    more([first], 10)
    all_arrive(limit=30)
    time.sleep(6)
    second.send(signal.SIGCONT)
    time.sleep(1)
    eventually(lambda: sends_one(cluster), "one node sends")
    assert sender(cluster)[0] is first
    more([second], 10)
    all_arrive()
    assert len(receiver.created()) == known + 20 and receiver.overlaps == 0, "each event once"
    # A node that is stopped hands over at once.
    time.sleep(1.5)
    first.end()
    stopped = time.monotonic()
    more([second], 5)
    all_arrive(limit=6)
    print(f"  the other node sent {time.monotonic() - stopped:.1f} s after the stop")


def a_connection_that_is_changed_on_one_node_is_changed_on_all(scene):
    cluster = scene(nodes=3)
    one, two, three = cluster.nodes
    one.start("--first-boot")
    two.start()

    def file(node):
        path = node.folder / "conf.d/connection-entra.toml"
        return path.read_text() if path.exists() else None

    def works(node, token):
        return node.request("GET", "/scim/v2/Users?count=1", None, token)[0] == 200

    one.run("connection", "add", "entra", "--method", "entra")
    token = one.run("token", "generate", "--connection", "entra").stdout.strip()
    eventually(lambda: works(two, token), "the other node knows the connection", limit=3)
    assert "entra" in file(one) and file(two) == file(one)
    # A new node, and one that starts again.
    three.start()
    eventually(lambda: works(three, token), "a new node gets it")
    assert file(three) == file(one)
    two.end()
    one.run("connection", "set", "entra", "--scope", "own")
    two.start()
    eventually(lambda: file(two) == file(one) and "own" in file(two), "a node that was away gets it")
    assert works(two, token)
    # What is changed by hand stays, also through a start.
    by_hand = file(two) + "# by hand\n"
    (two.folder / "conf.d/connection-entra.toml").write_text(by_hand)
    two.end()
    two.start()
    time.sleep(1)
    assert file(two) == by_hand
    # One record of each change, on every node.
    for node in cluster.nodes:
        records = [json.loads(line) for line in node.run("audit", "--json").stdout.splitlines()]
        events = [record["event"] for record in records if record["event"].startswith("connection.")]
        assert sorted(events) == ["connection.changed", "connection.created"], events
    # A folder that can't be written, as the sandbox knows only the one before: the node says so, and goes on by the log.
    folder = three.folder / "conf.d"
    shutil.rmtree(folder)
    folder.mkdir()
    two.run("connection", "set", "entra", "--scope", "all")
    eventually(lambda: "not in conf.d here" in three.log(), "the node says so")
    assert works(three, token) and three.request("GET", "/readyz")[0] == 200
    assert "not in conf.d here" in three.run("status", check=False).stdout
    three.run("reload")
    assert works(three, token) and file(three) is None
    three.end()
    three.start()
    eventually(lambda: file(three) == file(two), "it is written as soon as it can be")
    assert "not in conf.d here" not in three.run("status", check=False).stdout
    # Without the database nothing is changed.
    cluster.primary.stop("immediate")
    before = file(one)
    refused = one.run("connection", "set", "entra", "--scope", "own", check=False)
    assert refused.returncode == 1 and file(one) == before, refused.stderr
    refused = one.run("connection", "add", "other", "--method", "okta", check=False)
    assert refused.returncode == 1 and not (one.folder / "conf.d/connection-other.toml").exists()
    cluster.primary.start()
    for node in cluster.nodes:
        node.wait_until_ready()
    # It is removed everywhere, with its tokens.
    one.run("connection", "remove", "entra", "--yes")
    eventually(lambda: all(file(node) is None for node in cluster.nodes), "it is removed on all")
    assert not any(works(node, token) for node in cluster.nodes)
    # The state has the newest file of each, also when it is built again.
    two.end()
    for part in (two.folder / "data").iterdir():
        if part.name != "node":
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    one.run("connection", "add", "other", "--method", "okta")
    two.start()
    eventually(lambda: (two.folder / "conf.d/connection-other.toml").exists(), "an empty node gets it")
    two.run("connection", "set", "other", "--scope", "own")
    path = "conf.d/connection-other.toml"
    eventually(lambda: "own" in (one.folder / path).read_text(), "the first node follows")


def a_node_that_can_not_send_a_webhook_leaves_it_to_another(scene):
    cluster = scene(nodes=3)
    one, two, three = cluster.nodes
    for node in cluster.nodes:
        file = node.folder / "config.toml"
        file.write_text(file.read_text() + 'snapshot_interval = "1s"\nkeep_snapshots = 1\nkeep_journal = "1s"\n'
                        '[events]\nretention = "0s"\n')
    receiver = Receiver()
    with_webhook(cluster, receiver)
    # The second node has no webhook: it trims what the first one has not sent.
    settings = two.folder / "config.toml"
    settings.write_text(settings.read_text().replace(receiver.settings(), ""))
    receiver.is_down = True
    one.start("--first-boot")
    token = first_token(one)
    two.start()
    for count in range(30):
        assert create(one, f"user{count}@example.com", token)[0] == 201

    def number(what):
        return int(cluster.primary.query(f"SELECT {what}") or 0)

    def is_trimmed():
        two.run("user", "deactivate", "user0@example.com")
        two.run("user", "activate", "user0@example.com")
        return number("min(sequence) FROM scimd_log") > 30

    eventually(is_trimmed, "the log is trimmed", limit=40)
    three.start()
    one.end()
    eventually(lambda: "begins behind what is to be sent" in three.log(), "it leaves the webhook to others", limit=15)
    webhook = json.loads(three.run("webhook", "list", "--json").stdout)[0]
    assert not webhook.get("parked") and not webhook["sends"], webhook
    receiver.is_down = False
    one.start()
    eventually(lambda: len(set(receiver.created())) == 30, "the first node sends all", limit=20)
    # From now on the third node trims nothing, and what is sent is newer than what it has trimmed.
    three.end()
    settings = three.folder / "config.toml"
    text = settings.read_text().replace('keep_journal = "1s"\n', "").replace('retention = "0s"', 'retention = "1h"')
    settings.write_text(text)
    assert create(one, "later@example.com", token)[0] == 201
    eventually(lambda: len(set(receiver.created())) == 31, "it is sent")
    # How far it is, is stored within a second. A node that can store nothing does not keep the webhook.
    time.sleep(2)
    settings = one.folder / "config.toml"
    one.end()
    settings.write_text(settings.read_text().replace("min_free_mib = 0", "min_free_mib = 1_000_000_000"))
    one.start(wait=False)
    refused = lambda: create(one, "none@example.com", token)[0] == 503
    eventually(lambda: refused() and "free disk space" in one.log(), "it can store nothing")
    time.sleep(2)
    three.start()
    assert create(two, "last@example.com", token)[0] == 201
    eventually(lambda: len(set(receiver.created())) == 32, "the third node sends", limit=20)


SCENES = [
    a_connection_that_is_changed_on_one_node_is_changed_on_all,
    one_node_sends_each_event_of_a_webhook_and_another_takes_over,
    a_node_that_can_not_send_a_webhook_leaves_it_to_another,
    a_reload_is_refused_while_the_file_of_another_node_differs,
    a_node_that_knows_less_than_the_format_refuses_and_keeps_others_from_raising_it,
]
