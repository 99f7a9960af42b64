"""Clients of several nodes while nodes and database fail; then whether any order of what was answered explains it.

    drive.py BINARY FAULTS SEED [NODES]
"""

import json
import pathlib
import random
import re
import signal
import sys
import tempfile
import threading
import time

from cluster import Cluster
from history import Operation, violation

USERS = 6
CLIENTS_PER_NODE = 2
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Clients:
    """Threads that read and write users through all nodes, and what they were answered."""

    def __init__(self, cluster, token, seed):
        self.cluster, self.token = cluster, token
        self.history, self.created = {}, {}
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.answers, self.errors = {}, []
        self.ids = []
        for number in range(USERS):
            body = {"schemas": [SCHEMA], "userName": f"user{number}@example.com"}
            status, answer = cluster.nodes[0].request("POST", "/scim/v2/Users", body, token)
            assert status == 201, (status, answer)
            self.ids.append(answer["id"])
            self.history[answer["id"]] = []
        self.threads = []
        for number in range(len(cluster.nodes) * CLIENTS_PER_NODE):
            node = cluster.nodes[number % len(cluster.nodes)]
            thread = threading.Thread(target=self.run, args=(node, number, random.Random(f"{seed} {number}")))
            self.threads.append(thread)

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def note(self, status):
        with self.lock:
            self.answers[status] = self.answers.get(status, 0) + 1

    def run(self, node, number, choose):
        try:
            count = 0
            while not self.stopping.is_set():
                count += 1
                act = choose.random()
                if act < 0.1:
                    self.create(node, f"new{choose.randrange(400)}@example.com", number, count)
                elif act < 0.5:
                    self.write(node, choose.choice(self.ids), f"{number}-{count}")
                else:
                    self.read(node, choose.choice(self.ids))
                time.sleep(0.01 + choose.random() * 0.02)
        except Exception as error:  # a fault of the driver or an answer that must not be
            self.errors.append(f"client {number}: {error!r}")

    def send(self, node, *arguments):
        try:
            status, answer = node.request(*arguments, self.token)
        except OSError:
            status, answer = None, None
        self.note(status)
        return status, answer

    def write(self, node, id, value):
        body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": value}]}
        sent = time.monotonic()
        status, answer = self.send(node, "PATCH", f"/scim/v2/Users/{id}", body)
        answered = time.monotonic()
        if status not in (200, 204, 503, None):
            raise AssertionError(f"a change was answered with {status}: {answer}")
        with self.lock:
            self.history[id].append(Operation("write", value, sent, answered, status in (200, 204)))

    def read(self, node, id):
        sent = time.monotonic()
        status, answer = self.send(node, "GET", f"/scim/v2/Users/{id}", None)
        answered = time.monotonic()
        if status == 200:
            with self.lock:
                self.history[id].append(Operation("read", answer.get("displayName"), sent, answered))
        elif status not in (503, None):
            raise AssertionError(f"a read was answered with {status}: {answer}")

    def create(self, node, name, number, count):
        body = {"schemas": [SCHEMA], "userName": name, "displayName": f"{number}-{count}"}
        status, answer = self.send(node, "POST", "/scim/v2/Users", body)
        if status == 201:
            with self.lock:
                self.created.setdefault(name, []).append(answer["id"])
        elif status not in (409, 503, None):
            raise AssertionError(f"a create was answered with {status}: {answer}")


def pause(seconds, *targets):
    for target in targets:
        target.send(signal.SIGSTOP)
    time.sleep(seconds)
    for target in targets:
        target.send(signal.SIGCONT)


class Faults:
    """What goes wrong."""

    def __init__(self, cluster, choose):
        self.cluster, self.choose = cluster, choose
        self.counts, self.recoveries = {}, []

    def node(self):
        return self.choose.choice(self.cluster.nodes)

    def kill_node(self):
        node = self.node()
        node.kill()
        time.sleep(self.choose.random())
        node.start()

    def pause_node(self):
        pause(0.2 + 3.5 * self.choose.random(), self.node())

    def pause_primary(self):
        pause(0.2 + 3 * self.choose.random(), self.cluster.primary)

    def pause_standby(self):
        pause(0.2 + 2 * self.choose.random(), self.cluster.standby)

    def cut_connections(self):
        statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'scimd'"
        self.cluster.primary.query(statement)

    def crash_primary(self):
        self.cluster.primary.stop("immediate")
        time.sleep(self.choose.random())
        self.cluster.primary.start()

    def fail_over(self):
        cluster = self.cluster
        promoted = cluster.fail_over()
        # The new primary has no standby yet, and so commits alone until it has one.
        for node in cluster.nodes:
            while True:
                assert time.monotonic() < promoted + 60, f"{node.name} does not come back"
                try:
                    if node.request("GET", "/readyz")[0] == 200:
                        break
                except OSError:
                    pass
                time.sleep(0.05)
        self.recoveries.append(time.monotonic() - promoted)
        cluster.rebuild_standby()

    KINDS = (
        (kill_node, 4), (pause_node, 3), (pause_primary, 2), (pause_standby, 2), (cut_connections, 4),
        (crash_primary, 3), (fail_over, 1),
    )

    def one(self):
        kinds, weights = zip(*self.KINDS)
        fault = self.choose.choices(kinds, weights)[0]
        self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1
        fault(self)


def check(cluster, clients, token):
    """All that must hold in the end; what does not, as text."""
    faults = list(clients.errors)
    for node in cluster.nodes:
        node.wait_until_ready()
    for id, operations in clients.history.items():
        found = violation(operations)
        if found:
            faults.append(f"user {id}: {found}")
    for name, ids in clients.created.items():
        if len(ids) > 1:
            faults.append(f"{name} was created {len(ids)} times")
        for node in cluster.nodes:
            status, answer = node.request("GET", f"/scim/v2/Users/{ids[0]}", None, token)
            if status != 200 or answer["userName"] != name:
                faults.append(f"{name} was acknowledged and is not at {node.name}: {status}")
    exported = []
    for node in cluster.nodes:
        node.end()
    for node in cluster.nodes:
        verified = node.run("audit", "--verify", check=False)
        if verified.returncode != 0:
            faults.append(f"{node.name}: audit --verify: {verified.stdout[-500:]}{verified.stderr[-500:]}")
        checked = node.run("verify", check=False)
        if checked.returncode != 0:
            faults.append(f"{node.name}: verify: {checked.stdout[-800:]}{checked.stderr[-500:]}")
        lines = node.run("export", "--format", "jsonl").stdout.splitlines()
        exported.append(sorted(lines))
        if "panicked" in node.log():
            faults.append(f"{node.name} panicked")
    if any(lines != exported[0] for lines in exported):
        faults.append(f"the nodes hold different users: {[len(lines) for lines in exported]}")
    statement = "SELECT count(*) - 1 - max(sequence) + min(sequence) FROM scimd_log"
    if cluster.primary.query(statement) != "0":
        faults.append("the log in the database has gaps")
    return faults


def main():
    binary, count, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    nodes = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(binary, folder, nodes)
        try:
            cluster.nodes[0].start("--first-boot")
            token = re.search(r"^Token\s+(scimd_\w+)", cluster.nodes[0].log(), re.MULTILINE).group(1)
            for node in cluster.nodes[1:]:
                node.start()
            clients = Clients(cluster, token, seed)
            clients.start()
            faults = Faults(cluster, choose)
            started = time.monotonic()
            for number in range(count):
                time.sleep(0.3 + choose.random())
                faults.one()
                if clients.errors:
                    break
            time.sleep(2)
            clients.stop()
            found = check(cluster, clients, token)
            report = {
                "seed": seed, "nodes": nodes, "faults": faults.counts, "answers": {str(k): v for k, v in clients.answers.items()},
                "created": len(clients.created), "recovery_seconds": [round(s, 2) for s in faults.recoveries],
                "seconds": round(time.monotonic() - started),
            }
            print(json.dumps(report))
            for fault in found:
                print("FAULT:", fault)
            if found:
                for node in cluster.nodes:
                    print(f"--- log of {node.name}\n{node.log()[-6000:]}")
                sys.exit(1)
            served = clients.answers.get(200, 0) + clients.answers.get(204, 0)
            assert served > 20 * count, f"too little was served to show anything: {clients.answers}"
        finally:
            cluster.end()


if __name__ == "__main__":
    main()
