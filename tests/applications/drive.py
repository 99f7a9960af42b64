"""Runs the three reference consumers and a webhook through mixed changes and kills of all sides, and compares what they hold
with what the server lists. README.md beside this file says more."""
import collections
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psycopg

from webhook import Target

ACCESS = "urn:scimd:scim:schemas:extension:access:1.0:User"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
CONFIG = """
public_url = "https://127.0.0.1:{port}"
data_dir = "data"
[listen]
address = "127.0.0.1:{port}"
[console]
enabled = false
[connections.idp]
method = "okta-custom"
[applications.consumers]
scopes = ["read", "events"]
[webhooks.target]
url = "{hook}"
secret_file = "secret"
[access]
workspace_permissions = ["send"]
[[workspaces]]
name = "Main"
[[roles]]
name = "Sender"
[[roles.workspaces]]
name = "Main"
permissions = ["send"]
[[grants]]
group = "Senders"
roles = ["Sender"]
"""
# How long the consumers may take to catch up at the end.
PATIENCE = 40
# Events that a run must have had, and how often each victim is killed at least.
KINDS = {
    *(f"user.{verb}" for verb in ("created", "updated", "deactivated", "activated", "deleted")),
    *(f"group.{verb}" for verb in ("created", "updated", "deleted")),
    "access.changed",
}
KILLS = 2
# How many users and groups there are at most: the reference consumers write their whole copy for each page.
USERS, GROUPS = 400, 20
# In a long run the changes leave time to a shell script.
PAUSE = 0.05


class Site:
    """The server, its folder, and what talks to it."""

    name = "server"

    def __init__(self, scimd, folder, port, target):
        self.scimd, self.folder, self.port, self.target = scimd, pathlib.Path(folder), port, target
        (self.folder / "config.toml").write_text(CONFIG.format(port=port, hook=target.url()))
        (self.folder / "secret").write_text(target.secret + "\n")
        (self.folder / "secret").chmod(0o600)
        (self.folder / "data").mkdir(mode=0o700)
        self.tokens = {}
        for option, name in (("--connection", "idp"), ("--application", "consumers")):
            file = self.folder / f"{name}.token"
            self.command("token", "generate", option, name, "--output", str(file))
            self.tokens[name] = file.read_text().strip()
        self.log = open(self.folder / "scimd.log", "ab")
        self.process = None
        self.start()
        self.context = ssl.create_default_context(cafile=str(self.folder / "data/tls/cert.pem"))

    def command(self, *arguments):
        subprocess.run([self.scimd, *arguments], cwd=self.folder, check=True, stderr=subprocess.DEVNULL)

    def start(self):
        begin = (self.folder / "scimd.log").stat().st_size
        self.process = subprocess.Popen([self.scimd, "serve"], cwd=self.folder, stdout=self.log, stderr=self.log)
        for _ in range(600):
            if b" listening " in (self.folder / "scimd.log").read_bytes()[begin:]:
                return
            time.sleep(0.1)
        self.process.kill()
        raise RuntimeError((self.folder / "scimd.log").read_text()[-4000:])

    def kill(self):
        """Kills the server while a batch waits for its repetition."""
        self.target.refuse_until_restart()
        self.process.kill()
        self.process.wait()
        self.target.restarted()

    def ask(self, method, path, body=None, who="idp"):
        """The body of an answer; None if it is an error or there was none."""
        try:
            return self.fetch(method, "/scim/v2" + path, body, who)[0]
        except (http.client.HTTPException, OSError):
            time.sleep(0.05)
            return None

    def fetch(self, method, path, body=None, who="idp"):
        """Body and headers of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "Bearer " + self.tokens[who], "Content-Type": "application/scim+json"}
        url = f"https://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=90, context=self.context) as answer:
            return json.loads(answer.read() or b"{}"), answer.headers

    def feed(self):
        """All events that are kept."""
        after, events = "", []
        while True:
            page, _ = self.fetch("GET", f"/events?limit=1000{after}", who="consumers")
            events += page["events"]
            after = "&after=" + page["next"]
            if page["next"] == page["head"]:
                return events

    def listed(self):
        """Users, access, groups and members, as the server lists them."""
        copy = {"users": {}, "access": {}, "groups": {}, "members": {}}
        for path in (f"/Users?attributes=userName,active,{ACCESS}:effective", "/Groups?attributes=displayName,members"):
            cursor = ""
            while cursor is not None:
                page = self.ask("GET", f"{path}&count=500&cursor={cursor}", who="consumers")
                for one in page["Resources"]:
                    if "userName" in one:
                        copy["users"][one["id"]] = [one["userName"], one.get("active") is True]
                        copy["access"][one["id"]] = [piece["value"] for piece in one.get(ACCESS, {}).get("effective", [])]
                    else:
                        copy["groups"][one["id"]] = one["displayName"]
                        copy["members"][one["id"]] = [member["value"] for member in one.get("members", [])]
                cursor = page.get("nextCursor")
        return even(copy)


def even(copy):
    """The same, with sorted lists and without empty ones."""
    for part in ("access", "members"):
        copy[part] = {key: sorted(values) for key, values in copy[part].items() if values}
    return copy


class Changes:
    """Mixed changes of users and groups."""

    def __init__(self, site, seed):
        self.site, self.random, self.users, self.groups, self.number = site, random.Random(seed), [], [], 0

    def one(self):
        self.number += 1
        pick = self.random.choice
        kind = self.random.choices(
            ["create", "active", "rename", "delete", "group", "add", "remove", "regroup", "drop"], [30, 15, 10, 6, 3, 20, 10, 2, 1]
        )[0]
        if kind == "create" and len(self.users) >= USERS:
            kind = "delete"
        if kind == "group" and len(self.groups) >= GROUPS:
            kind = "drop"
        if kind == "create" or not self.users:
            return self.created("/Users", {"schemas": [USER], "userName": f"user{self.number}", "active": True}, self.users)
        if kind == "active":
            return self.patch(f"/Users/{pick(self.users)}", "replace", "active", self.random.random() < 0.5)
        if kind == "rename":
            return self.patch(f"/Users/{pick(self.users)}", "replace", "userName", f"renamed{self.number}")
        if kind == "delete":
            gone = self.users.pop(self.random.randrange(len(self.users)))
            return self.site.ask("DELETE", f"/Users/{gone}")
        if kind == "group" or not self.groups:
            name = f"group{self.number}" if self.groups else "Senders"
            return self.created("/Groups", {"schemas": [GROUP], "displayName": name}, self.groups)
        group = pick(self.groups)
        if kind == "add":
            members = [{"value": user} for user in self.random.sample(self.users, min(5, len(self.users)))]
            return self.patch(f"/Groups/{group}", "add", "members", members)
        if kind == "remove":
            return self.patch(f"/Groups/{group}", "remove", f'members[value eq "{pick(self.users)}"]')
        if group == self.groups[0]:
            # It gives access, by its name.
            return None
        if kind == "regroup":
            return self.patch(f"/Groups/{group}", "replace", "displayName", f"regrouped{self.number}")
        self.groups.remove(group)
        return self.site.ask("DELETE", f"/Groups/{group}")

    def created(self, path, body, known):
        answer = self.site.ask("POST", path, body)
        if answer:
            known.append(answer["id"])

    def patch(self, path, op, attribute, value=None):
        """Changes an attribute. A failure and a change that changes nothing look the same: later ones follow."""
        operation = {"op": op, "path": attribute}
        if value is not None:
            operation["value"] = value
        self.site.ask("PATCH", path, {"schemas": [PATCH], "Operations": [operation]})


class Consumer:
    """A reference consumer, which is killed and started again."""

    def __init__(self, name, command, environment, folder, read):
        # `read` returns the cursor and the copy.
        self.name, self.command, self.environment, self.read = name, command, environment, read
        self.log = open(pathlib.Path(folder) / f"{name}.log", "ab")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def kill(self):
        # With what it has started: curl and jq of the shell script.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def of_file(path):
    """The cursor and the copy of a consumer that keeps them in a JSON file."""
    try:
        copy = json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        return None, None
    sets = {part: {key: list(values) for key, values in copy[part].items()} for part in ("access", "members")}
    return copy["cursor"], even({"users": copy["users"], "groups": copy["groups"], **sets})


def of_database(conninfo):
    """The cursor and the copy of a consumer that keeps them in PostgreSQL."""
    copy = {"users": {}, "access": {}, "groups": {}, "members": {}}
    with psycopg.connect(conninfo) as database:
        for key, name, active in database.execute("select id, user_name, active from users"):
            copy["users"][key] = [name, active]
        copy["groups"] = dict(database.execute("select id, display_name from groups").fetchall())
        for part, columns in (("access", "user_id, value"), ("members", "group_id, member_id")):
            for key, value in database.execute(f"select {columns} from {part}"):
                copy[part].setdefault(key, []).append(value)
        cursor = database.execute("select cursor from feed").fetchone()
    return cursor and cursor[0], even(copy)


class Skipping:
    """A way to the server that leaves one event out of the pages: of the creation of a user with `user_name`."""

    def __init__(self, site, user_name):
        self.skipped = 0
        way = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                try:
                    page, _ = site.fetch("GET", self.path, who="consumers")
                except (urllib.error.HTTPError, OSError) as error:
                    return self.send_error(getattr(error, "code", 502))
                events = page.get("events", [])
                kept = [one for one in events if not self.is_skipped(one)]
                way.skipped += len(events) - len(kept)
                body = json.dumps({**page, "events": kept}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # The consumer was killed.
                    self.wfile.write(body)

            def is_skipped(self, event):
                return event["type"] == "user.created" and event["data"]["resource"]["userName"] == user_name

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"


def kill_by_turns(victims, chance, kills, stop):
    """Kills the victims in a random order, each as often as the others, and starts them again."""
    while True:
        for victim in chance.sample(victims, len(victims)):
            if stop.wait(chance.uniform(1, 4)):
                return
            victim.kill()
            time.sleep(chance.uniform(0, 0.5))
            victim.start()
            kills[victim.name] += 1


def mixed_changes(seconds, changes, pause, victims, chance, kills):
    """Makes changes for a time, while the victims are killed."""
    stop = threading.Event()
    killer = threading.Thread(target=kill_by_turns, args=(victims, chance, kills, stop))
    killer.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end and killer.is_alive():
            changes.one()
            time.sleep(pause)
    finally:
        stop.set()
        killer.join()


def wait_for(what, condition):
    """Waits until the condition holds, at most PATIENCE seconds. Whether it does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            print(f"waited in vain for {what}")
            return False
        time.sleep(0.3)
    return True


def differences(held, expected):
    """What a copy has and should not, or the other way round."""
    held = held or {}
    for part, wanted in expected.items():
        got = held.get(part, {})
        for key in sorted({*wanted, *got}):
            if wanted.get(key) != got.get(key):
                yield f"{part} {key}: {got.get(key)}, and not {wanted.get(key)}"


def check_copies(site, consumers):
    """Every consumer holds what the server lists."""
    expected = site.listed()
    print("the server lists " + ", ".join(f"{len(expected[part])} {part}" for part in expected), flush=True)
    faults = []
    for consumer in consumers:
        wait_for(f"{consumer.name} to catch up", lambda: consumer.read()[1] == expected)
        faults += [f"{consumer.name}: {one}" for one in list(differences(consumer.read()[1], expected))[:10]]
    return faults


def check_webhook(site, target):
    """The webhook took the events of the feed, each once, in order, and some batches again after a restart."""
    expected = [event["id"] for event in site.feed()]
    wait_for("the webhook to catch up", lambda: len(target.events) >= len(expected))
    with target.lock:
        print(
            f"webhook: {len(target.events)} events in {len(target.batches)} batches, {target.deliveries} deliveries,"
            f" {target.repeated} repeated, {target.over_restarts} of them after a restart",
            flush=True,
        )
        faults = [f"webhook: {fault}" for fault in target.faults[:10]]
        if target.events != expected:
            different = [pair for pair in zip(target.events, expected) if pair[0] != pair[1]]
            faults.append(f"webhook: {len(target.events)} events, and not {len(expected)}; first difference: {different[:1]}")
        if not target.over_restarts:
            faults.append("webhook: no batch was repeated after a restart")
    return faults


def check_canary(site, consumers):
    """The comparison notices an event that is lost on the way to a consumer."""
    user_name = "skipped"
    way = Skipping(site, user_name)
    for consumer in consumers:
        consumer.kill()
        consumer.environment = {**consumer.environment, "SCIMD_URL": way.url}
        consumer.start()
    created = site.ask("POST", "/Users", {"schemas": [USER], "userName": user_name, "active": True})
    expected, lost = site.listed(), [f"users {created['id']}: None, and not {[user_name, True]}"]
    faults = []
    for consumer in consumers:
        # The access of the user comes in a later event: the consumer has passed the lost one.
        if not wait_for(f"{consumer.name} to lack one user", lambda: list(differences(consumer.read()[1], expected)) == lost):
            found = list(differences(consumer.read()[1], expected))
            faults.append(f"{consumer.name}: a lost event should have been noticed, and nothing else: {found[:10]}")
    if way.skipped < len(consumers):
        faults.append(f"{way.skipped} events were left out, and not {len(consumers)}")
    return faults


def main():
    scimd, rust, folder, conninfo, port, seconds, every = sys.argv[1:]
    root = pathlib.Path(__file__).resolve().parents[2]
    seed = random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    target = Target(random.Random(seed + 2))
    site = Site(scimd, folder, int(port), target)
    environment = {
        **os.environ,
        "TMPDIR": folder,
        "SCIMD_URL": f"https://127.0.0.1:{port}",
        "SCIMD_CERTIFICATE": f"{folder}/data/tls/cert.pem",
        "SCIMD_TOKEN_FILE": f"{folder}/consumers.token",
    }
    files = {name: f"{folder}/{name}.json" for name in ("rust", "shell")}
    programs = {
        "rust": ([rust, files["rust"]], lambda: of_file(files["rust"])),
        "shell": ([str(root / "examples/shell/follow.sh"), files["shell"]], lambda: of_file(files["shell"])),
        "postgres": ([sys.executable, str(root / "examples/postgres/consumer.py"), conninfo], lambda: of_database(conninfo)),
    }
    changes, kills, consumers = Changes(site, seed), collections.Counter(), []
    chance, faults = random.Random(seed + 1), []
    # So that nothing is left behind if the run takes too long.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Some are there before the consumers begin: they list them.
    for _ in range(50):
        changes.one()
    try:
        for name, (command, read) in programs.items():
            consumers.append(Consumer(name, command, environment, folder, read))
        rest = float(seconds)
        while rest > 0 and not faults:
            part = min(rest, float(every) or rest)
            mixed_changes(part, changes, PAUSE if float(every) else 0, [site, *consumers], chance, kills)
            rest -= part
            if rest > 0:
                print(f"{changes.number} changes, kills: {dict(kills)}", flush=True)
                faults += check_copies(site, consumers) + check_webhook(site, target)
        kinds = collections.Counter(event["type"] for event in site.feed())
        print(f"{changes.number} changes, events: {dict(kinds)}, kills: {dict(kills)}", flush=True)
        faults += [f"no event {kind}" for kind in sorted(KINDS - {kind.removeprefix("scimd.") for kind in kinds})]
        faults += [f"{one.name} was killed {kills[one.name]} times" for one in (site, *consumers) if kills[one.name] < KILLS]
        faults += check_copies(site, consumers)
        faults += check_webhook(site, target)
        if not faults:
            faults += check_canary(site, consumers)
    finally:
        for consumer in consumers:
            consumer.kill()
        site.process.terminate()
        site.process.wait()
    if faults:
        for log in ("scimd", *programs):
            print(f"--- {log}.log\n" + (site.folder / f"{log}.log").read_text()[-1500:])
        print("\n".join(faults))
    print("failed" if faults else "passed: copies, webhook, canary")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
