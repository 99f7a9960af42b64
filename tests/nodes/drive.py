"""Clients of several nodes while nodes, database, network and clocks fail; then whether any order of what was answered explains it.

    drive.py BINARY FAULTS SEED [--nodes 3] [--reads latest] [--report FILE]
"""

import argparse
import datetime
import json
import pathlib
import random
import re
import sys
import tempfile
import threading
import time

import network
from cluster import Cluster, false_clock
from faults import Faults
from history import Operation, disorder, violation

USERS = 6
CLIENTS_PER_NODE = 2
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Clients:
    """Threads that read and write users through all nodes, and what they were answered."""

    def __init__(self, cluster, token, seed):
        self.cluster, self.token = cluster, token
        self.created = {}
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.answers, self.errors = {}, []
        self.ids = []
        for number in range(USERS + 1):
            body = {"schemas": [SCHEMA], "userName": f"user{number}@example.com"}
            status, answer = cluster.nodes[0].request("POST", "/scim/v2/Users", body, token)
            assert status == 201, (status, answer)
            self.ids.append(answer["id"])
        self.probed = self.ids.pop()
        self.history = {id: [] for id in self.ids}
        self.threads = []
        for number in range(len(cluster.nodes) * CLIENTS_PER_NODE):
            node = cluster.nodes[number % len(cluster.nodes)]
            thread = threading.Thread(target=self.run, args=(node, number, random.Random(f"{seed} {number}")))
            self.threads.append(thread)

    def probe(self, node):
        """Changes a user that no client touches; whether that was acknowledged."""
        body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": str(time.monotonic())}]}
        return self.send(node, "PATCH", f"/scim/v2/Users/{self.probed}", body)[0] in (200, 204)

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
            self.history[id].append(Operation("write", value, sent, answered, status in (200, 204), node.name))

    def read(self, node, id):
        sent = time.monotonic()
        status, answer = self.send(node, "GET", f"/scim/v2/Users/{id}", None)
        answered = time.monotonic()
        if status == 200:
            with self.lock:
                self.history[id].append(Operation("read", answer.get("displayName"), sent, answered, True, node.name))
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


def check(cluster, clients, token, reads):
    """All that must hold in the end; what does not, as text."""
    faults = list(clients.errors)
    for node in cluster.nodes:
        node.wait_until_ready()
    # By then each has copied what the others appended last.
    time.sleep(2)
    if reads == "latest":
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
    trail = cluster.nodes[0].run("audit", "--all", "--json", "--since", "2000-01-01").stdout
    faults += check_trail([json.loads(line) for line in trail.splitlines()], clients, reads)
    return faults


def check_trail(records, clients, reads):
    """Holds the order of the log against what clients were answered: nothing lost, doubled, reordered or dated by a wrong clock."""
    faults = []
    sequences = [record["sequence"] for record in records]
    if sequences != list(range(sequences[0], sequences[0] + len(sequences))):
        faults.append("the audit trail has gaps")
    times = [datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")) for record in records]
    if any(later < earlier for earlier, later in zip(times, times[1:])):
        faults.append("the times of the audit trail go back")
    # A clock is trusted while it is within 10 minutes of the right one.
    latest = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=10)
    if times[-1] > latest:
        faults.append(f"a record has the time of a clock that was wrong: {times[-1]}")
    names, values = {}, {}
    for record in records:
        subject = record["subject"]
        if record["event"] == "user.created":
            names.setdefault(record["name"], []).append(subject)
        for change in record.get("changes", []):
            if change["attribute"] == "displayName":
                values.setdefault(subject, []).append(change["after"])
    faults += [f"{name} was created {len(ids)} times in the log" for name, ids in names.items() if len(ids) > 1]
    faults += [f"{name} is not in the log" for name, ids in clients.created.items() if names.get(name) != ids]
    for id, operations in clients.history.items():
        found = disorder(operations, values.get(id, []), reads == "local")
        if found:
            faults.append(f"user {id}: {found}")
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("faults", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--reads", choices=("latest", "local"), default="latest")
    parser.add_argument("--report", type=pathlib.Path, help="a line of JSON is appended to this file")
    arguments = parser.parse_args()
    network.enter()
    count, seed, nodes, reads = arguments.faults, arguments.seed, arguments.nodes, arguments.reads
    clocks = false_clock() is not None
    if not clocks:
        print("NOT MEASURED: clocks that jump, as there is no libfaketime")
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(arguments.binary, folder, nodes, reads=reads)
        try:
            for node in cluster.nodes if clocks else ():
                node.falsify_clock()
            cluster.nodes[0].start("--first-boot")
            token = re.search(r"^Token\s+(scimd_\w+)", cluster.nodes[0].log(), re.MULTILINE).group(1)
            for node in cluster.nodes[1:]:
                node.start()
            clients = Clients(cluster, token, seed)
            clients.start()
            faults = Faults(cluster, choose, clients.probe)
            started = time.monotonic()
            found = []
            try:
                for number in range(count):
                    time.sleep(0.3 + choose.random())
                    faults.one(clocks)
                    if clients.errors:
                        break
                time.sleep(2)
            except Exception as error:
                found.append(f"after {faults.counts}: {error!r}"[:4000])
                raise
            finally:
                clients.stop()
                if not found:
                    found += check(cluster, clients, token, reads)
                operations = sum(clients.answers.values())
                acknowledged = sum(clients.answers.get(status, 0) for status in (200, 201, 204))
                if not found and acknowledged < 20 * count:
                    found.append(f"too little was served to show anything: {clients.answers}")
                report = {
                    "seed": seed, "nodes": nodes, "reads": reads, "faults": faults.counts, "operations": operations,
                    "acknowledged": acknowledged, "answers": {str(k): v for k, v in clients.answers.items()},
                    "created": len(clients.created), "recovery_seconds": [round(s, 2) for s in faults.recoveries],
                    "seconds": round(time.monotonic() - started), "result": found or "ok",
                }
                print(json.dumps(report), flush=True)
                if arguments.report:
                    with open(arguments.report, "a") as file:
                        file.write(json.dumps(report) + "\n")
                if found:
                    for node in cluster.nodes:
                        print(f"--- log of {node.name}\n{node.log()[-6000:]}")
            for fault in found:
                print("FAULT:", fault)
            sys.exit(bool(found))
        finally:
            cluster.end()


if __name__ == "__main__":
    main()
