"""One connection attacks, another one takes access away, and an operator works beside them.

The server has 256 descriptors, a disk of 160 MiB and may take 256 MiB of memory. All attacks run at once, as
processes that give way to the server, so that what is measured is the server and not the attackers.
"""

import http.client
import json
import multiprocessing
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

DISK_MIB = 160
MIN_FREE_MIB = 48
MEMORY_MIB = 256
DESCRIPTORS = 256
SOON = 1.0
USERS = 1500
TOKENS = 200
PORT = 18443
SCIM = "urn:ietf:params:scim:"
USER, GROUP = SCIM + "schemas:core:2.0:User", SCIM + "schemas:core:2.0:Group"
PATCH, BULK = SCIM + "api:messages:2.0:PatchOp", SCIM + "api:messages:2.0:BulkRequest"

CONFIG = f"""
public_url = "https://127.0.0.1:{PORT}"
data_dir = "data"
[listen]
address = "127.0.0.1:{PORT}"
[console]
enabled = false
[connections.attacker]
method = "okta-custom"
service_origin = "localhost"
[connections.victim]
method = "okta-custom"
service_origin = "localhost"
[connections.third]
method = "okta-custom"
service_origin = "localhost"
[connections.victim.brake]
action = "off"
[limits]
max_connections = 120
max_connections_per_address = 40
[store]
min_free_mib = {MIN_FREE_MIB}
"""

CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


def connect(source="127.0.0.1", timeout=10.0):
    """A TLS connection from an address of this machine."""
    plain = socket.create_connection(("127.0.0.1", PORT), timeout, (source, 0))
    try:
        return CONTEXT.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise


def head(token, method, path, extra=""):
    credential = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"{method} /scim/v2{path} HTTP/1.1\r\nHost: localhost\r\nX-Request-Origin: localhost\r\n{credential}"
        f"Content-Type: application/scim+json\r\n{extra}\r\n"
    ).encode()


def answer(stream):
    """The status and body of an answer."""
    response = http.client.HTTPResponse(stream)
    response.begin()
    body = response.read()
    return response.status, body


def send(token, method, path, body=None, source="127.0.0.1", timeout=10.0):
    """A request on a connection of its own."""
    data = b"" if body is None else json.dumps(body).encode()
    with connect(source, timeout) as stream:
        stream.sendall(head(token, method, path, f"Content-Length: {len(data)}\r\nConnection: close\r\n") + data)
        return answer(stream)


def bulk(operations):
    return {"schemas": [BULK], "Operations": operations}


def user(name, **more):
    return {"schemas": [USER], "userName": name, "active": True, **more}


def change(*operations):
    return {"schemas": [PATCH], "Operations": list(operations)}


def create(token, endpoint, bodies):
    """Creates resources; their ids."""
    ids = []
    for start in range(0, len(bodies), 500):
        operations = [
            {"method": "POST", "path": endpoint, "bulkId": str(number), "data": body}
            for number, body in enumerate(bodies[start : start + 500])
        ]
        status, text = send(token, "POST", "/Bulk", bulk(operations))
        assert status == 200, text[:500]
        for result in json.loads(text)["Operations"]:
            assert result["status"] == "201", result
            ids.append(result["location"].rsplit("/", 1)[1])
    return ids


# The attacks. Each is called again and again until the time is over, with what it keeps between two calls.


def strangers(_, state, address):
    """Takes every seat that it gets, and keeps it awake without a token."""
    held = state.setdefault("held", [])
    try:
        if len(held) < 40:
            held.append(connect(address, 2))
    except OSError:
        time.sleep(0.05)
    for stream in list(held):
        try:
            stream.settimeout(2)
            stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not stream.recv(4096):
                raise OSError
        except OSError:
            held.remove(stream)
            stream.close()
    return "held" if held else "none"


def garbage(_, state):
    """Begins handshakes that never end."""
    held = state.setdefault("held", [])
    plain = socket.create_connection(("127.0.0.1", PORT), 2, ("127.0.0.6", 0))
    plain.sendall(b"\x16\x03\x01\x02\x00\x01")
    held.append(plain)
    if len(held) > 20:
        held.pop(0).close()
    time.sleep(0.02)
    return "begun"


def noise(_, state):
    """Wrong tokens from many addresses."""
    number = state["number"] = state.get("number", 0) + 1
    source = f"127.0.{1 + number // 250 % 8}.{1 + number % 250}"
    return send("scimd_" + "x" * 43, "GET", "/Users", source=source)[0]


def tiny_chunks(world, state):
    """A body in chunks of a byte, of which the end never comes."""
    held = state.setdefault("held", [])
    stream = connect("127.0.0.7")
    held.append(stream)
    if len(held) > 8:
        held.pop(0).close()
    stream.sendall(head(world["token"], "POST", "/Users", "Transfer-Encoding: chunked\r\n"))
    part = b"1\r\n \r\n" * 10_000
    for _ in range(100):
        stream.sendall(part)
    return "sent"


def slow_bodies(world, state):
    """A large body, a byte now and then."""
    held = state.setdefault("held", [])
    if len(held) < 8:
        stream = connect("127.0.0.7")
        stream.sendall(head(world["token"], "POST", "/Users", "Content-Length: 1000000\r\n"))
        held.append(stream)
    for stream in list(held):
        try:
            stream.sendall(b" ")
        except OSError:
            held.remove(stream)
            stream.close()
    time.sleep(0.2)
    return "trickled"


def renames(world, state):
    """A member of a thousand groups, renamed a thousand times in one request."""
    number = state["number"] = state.get("number", 0) + 1
    path = "/Users/" + world["member"]
    data = [change({"op": "replace", "path": "displayName", "value": f"n{number}-{i}"}) for i in range(1000)]
    operations = [{"method": "PATCH", "path": path, "data": data} for data in data]
    return send(world["token"], "POST", "/Bulk", bulk(operations), "127.0.0.8")[0]


def memberships(world, state):
    """A thousand groups, each with 34 others as members, in one request."""
    number = state["number"] = state.get("number", 0) + 1
    operations = []
    for place in range(1000):
        members = [{"value": f"bulkId:{other}"} for other in range(place + 1, min(place + 35, 1000))]
        data = {"schemas": [GROUP], "displayName": f"n{number}-{place}", "members": members}
        operations.append({"method": "POST", "path": "/Groups", "bulkId": str(place), "data": data})
    return send(world["token"], "POST", "/Bulk", bulk(operations), "127.0.0.8")[0]


def long_change(world, _):
    """A PATCH of a thousand searches through the members of a group."""
    operations = [{"op": "remove", "path": f'members[display co "nobody-{i}"]'} for i in range(1000)]
    return send(world["token"], "PATCH", "/Groups/" + world["large"], change(*operations), "127.0.0.8")[0]


def fill(world, state):
    """Many small changes of a large record, each of which is kept for ever."""
    number = state["number"] = state.get("number", 0) + 1
    operations = [
        {
            "method": "PATCH",
            "path": "/Users/" + world["fat"][0],
            "data": change({"op": "replace", "path": "title", "value": f"{number}-{i}"}),
        }
        for i in range(500)
    ]
    return send(world["token"], "POST", "/Bulk", bulk(operations), "127.0.0.8")[0]


def unread(world, state):
    """Long answers that nobody reads."""
    held = state.setdefault("held", [])
    if len(held) >= 16:
        held.pop(0).close()
    stream = connect("127.0.0.9")
    stream.sendall(head(world["token"], "GET", "/Users?count=1000&filter=" + "title%20pr"))
    held.append(stream)
    time.sleep(0.05)
    return "asked"


def searches(world, _):
    """Searches that read everything."""
    path = "/Users?count=1&filter=" + "nickName%20co%20%22nobody%22%20or%20title%20co%20%22nobody%22"
    return send(world["token"], "GET", path, source="127.0.0.10", timeout=40)[0]


def shared_value(world, _):
    """A value that thousands share, and what else is to be compared."""
    compared = "%20or%20".join(f"title%20eq%20%22{i}%22" for i in range(60))
    path = f"/Users?count=1&filter=emails.value%20eq%20%22all%40example.com%22%20and%20({compared})"
    return send(world["token"], "GET", path, source="127.0.0.10", timeout=40)[0]


def purge(world, state):
    """Deactivates and renames everybody."""
    number = state["number"] = state.get("number", 0) + 1
    some = world["users"][-200:]
    operations = [
        {
            "method": "PATCH",
            "path": "/Users/" + each,
            "data": change({"op": "replace", "value": {"active": number % 2 == 0, "userName": f"p{number}-{each}"}}),
        }
        for each in some
    ]
    return send(world["token"], "POST", "/Bulk", bulk(operations), "127.0.0.8")[0]


def strange_bodies(world, state):
    """Bodies and filters of odd shapes."""
    number = state["number"] = state.get("number", 0) + 1
    bodies = [
        b"[" * 900_000,
        b'{"schemas":["' + USER.encode() + b'"],"userName":' + b"9" * 900_000 + b"}",
        b"{" + b",".join(b'"a%d":{}' % i for i in range(80_000)) + b"}",
        json.dumps(user("s", emails=[{"value": f"{i}@x"} for i in range(30_000)])).encode(),
    ]
    data = bodies[number % len(bodies)]
    with connect("127.0.0.11") as stream:
        extra = f"Content-Length: {len(data)}\r\nConnection: close\r\n"
        stream.sendall(head(world["token"], "POST", "/Users", extra) + data)
        return answer(stream)[0]


ATTACKS = [
    *[(strangers, f"127.0.0.{last}") for last in (2, 3, 4, 5)],
    *[(attack,) for attack in (
        garbage, noise, tiny_chunks, slow_bodies, renames, memberships, long_change, fill, unread, purge,
        strange_bodies,
    )],
    *[(searches,)] * 8,
    *[(shared_value,)] * 4,
]


def attack_until(end, world, attack, *arguments):
    """Attacks until the time is over; how often with which outcome."""
    os.nice(15)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outcomes, state = {}, {}
    while time.monotonic() < end:
        try:
            outcome = attack(world, state, *arguments)
        except (OSError, http.client.HTTPException) as error:
            outcome = type(error).__name__
            time.sleep(0.02)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return attack.__name__, outcomes


# What must go on meanwhile.


class Probe:
    """Something that must succeed within a second, whatever else happens."""

    def __init__(self, name, action):
        self.name, self.action, self.times, self.faults = name, action, [], []

    def until(self, end):
        while time.monotonic() < end:
            begun = time.monotonic()
            try:
                fault = self.action()
            except (OSError, http.client.HTTPException) as error:
                fault = f"{type(error).__name__}: {error}"
            took = time.monotonic() - begun
            self.times.append(took)
            if fault or took > SOON:
                self.faults.append(f"after {took:.2f} s: {fault or 'done'}")
            time.sleep(max(0.0, 1.0 - took))

    def line(self):
        times = sorted(self.times)
        return (
            f"{self.name:<28} {len(times):>5} times, median {times[len(times) // 2] * 1000:6.0f} ms, "
            f"longest {times[-1] * 1000:6.0f} ms, {len(self.faults)} failed"
        )


class Server:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.process = None

    def start(self):
        def short_of_descriptors():
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))

        log = open(os.path.join(self.folder, "server.log"), "ab")
        self.process = subprocess.Popen(
            [self.binary, "serve"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=short_of_descriptors,
        )
        for _ in range(600):
            try:
                connect().close()
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("the server did not start:\n" + open(log.name).read())
                time.sleep(0.05)
        sys.exit("the server does not answer")

    def command(self, *arguments):
        done = subprocess.run(
            [self.binary, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=30, check=False,
        )
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def succeed(self, *arguments):
        code, out, complaint = self.command(*arguments)
        assert code == 0, f"{arguments}: {code} {complaint}"
        return out

    def status(self, field):
        text = open(f"/proc/{self.process.pid}/status").read()
        return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) / 1024

    def kill(self):
        self.process.kill()
        self.process.wait()


def prepare(server):
    """Accounts, groups and tokens, made before the attack."""
    tokens = {
        name: server.succeed("token", "generate", "--connection", name) for name in ("attacker", "victim")
    }
    third = [server.succeed("token", "generate", "--connection", "third") for _ in range(TOKENS)]
    listed = json.loads(server.succeed("token", "list", "--json"))
    ids = [entry["id"] for entry in listed if entry["connection"] == "third"]
    everybody = [{"value": "all@example.com"}]
    names = [user(f"u{number}", title=f"t{number}", emails=everybody) for number in range(USERS)]
    users = create(tokens["victim"], "/Users", names)
    attacker = tokens["attacker"]
    member = create(attacker, "/Users", [user("member")])[0]
    fat = create(attacker, "/Users", [user(f"fat{i}", title="fat", x509Certificates=[]) for i in range(60)])
    for each in fat:
        filler = [{"value": f"{i}{'x' * 700}", "type": f"{i}"} for i in range(60)]
        operation = {"op": "add", "path": "ims", "value": filler}
        status, text = send(attacker, "PATCH", "/Users/" + each, change(operation))
        assert status == 200, text[:500]
    groups = create(attacker, "/Groups", [
        {"schemas": [GROUP], "displayName": f"g{i}", "members": [{"value": member}]} for i in range(1000)
    ])
    large = create(attacker, "/Groups", [
        {"schemas": [GROUP], "displayName": "large", "members": [{"value": each} for each in users]}
    ])[0]
    world = {"token": attacker, "users": users, "member": member, "fat": fat, "groups": groups, "large": large}
    return world, tokens["victim"], list(zip(third, ids, strict=True))


def fill_disk(folder):
    """Leaves less room on the disk than changes need, and more than what takes access away needs."""
    path = os.path.join(folder, "ballast")
    with open(path, "wb") as file:
        room = os.statvfs(folder)
        file.write(b"x" * max(0, room.f_bavail * room.f_frsize - (MIN_FREE_MIB - 8) * 2**20))
    return path


def main():
    binary, seconds = os.path.abspath(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "tmpfs", folder], check=True)
        try:
            return run(binary, seconds, folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=False)


def run(binary, seconds, folder):
    with open(os.path.join(folder, "config.toml"), "w", encoding="utf-8") as file:
        file.write(CONFIG)
    server = Server(binary, folder)
    server.succeed("init") if "--init" in sys.argv else None
    server.start()
    print(f"preparing {USERS} accounts, 1000 groups and {TOKENS} tokens", flush=True)
    world, victim, third = prepare(server)
    quiet = server.status("VmRSS")
    leavers = iter(world["users"])
    gone, revoked = [], []

    def deactivate():
        each = next(leavers)
        operation = {"op": "replace", "path": "active", "value": False}
        status, text = send(victim, "PATCH", "/Users/" + each, change(operation), timeout=5)
        if status != 200:
            return f"{status} {text[:300]!r}"
        gone.append(each)
        return None

    def revoke():
        secret, each = third[len(revoked)]
        revoked.append(secret)
        code, _, complaint = server.command("token", "revoke", each)
        return f"exit code {code}: {complaint}" if code else None

    def list_tokens():
        code, _, complaint = server.command("token", "list")
        return f"exit code {code}: {complaint}" if code else None

    probes = [Probe("deactivate an account", deactivate), Probe("token revoke", revoke),
              Probe("token list", list_tokens)]
    end = time.monotonic() + seconds
    print(f"attacking for {seconds:.0f} s: {len(ATTACKS)} attackers", flush=True)
    faults = []
    with multiprocessing.Pool(len(ATTACKS)) as pool:
        pending = [pool.apply_async(attack_until, (end, world, *attack)) for attack in ATTACKS]
        threads = [threading.Thread(target=probe.until, args=(end,)) for probe in probes]
        for thread in threads:
            thread.start()
        lowest = DISK_MIB
        ballast = None
        while time.monotonic() < end:
            # For the second half of the time something else fills the disk.
            if ballast is None and time.monotonic() > end - seconds / 2:
                ballast = fill_disk(folder)
            room = os.statvfs(folder)
            lowest = min(lowest, room.f_bavail * room.f_frsize / 2**20)
            if server.process.poll() is not None:
                faults.append(f"the server ended with {server.process.returncode}")
                break
            time.sleep(0.5)
        for thread in threads:
            thread.join()
        told = {}
        for result in pending:
            name, outcomes = result.get(timeout=120)
            for outcome, times in outcomes.items():
                told.setdefault(name, {}).setdefault(outcome, 0)
                told[name][outcome] += times
    for name, outcomes in told.items():
        print(f"{name:<20} " + ", ".join(f"{outcome}: {times}" for outcome, times in sorted(outcomes.items(), key=str)))
    if not faults:
        peak = server.status("VmHWM")
        print(f"memory {quiet:.0f} MiB before, {peak:.0f} MiB at most; room on the disk {lowest:.0f} MiB at least")
        if peak > MEMORY_MIB:
            faults.append(f"it took {peak:.0f} MiB of memory, more than {MEMORY_MIB}")
        if lowest > MIN_FREE_MIB:
            faults.append(f"the disk was never short: {lowest:.0f} MiB were free")
        for secret in revoked:
            status, _ = send(secret, "GET", "/Users?count=0")
            if status not in (401, 429):
                faults.append(f"a revoked token is answered {status}")
        # What was acknowledged is on disk.
        server.kill()
        server.start()
        for each in gone:
            status, text = send(victim, "GET", "/Users/" + each)
            if status != 200 or json.loads(text)["active"]:
                faults.append(f"{each} was deactivated, and now is not: {status} {text[:200]!r}")
        server.kill()
    for probe in probes:
        print(probe.line())
        faults += [f"{probe.name} {fault}" for fault in probe.faults]
    for fault in faults[:40]:
        print("FAULT:", fault)
    print("It held." if not faults else f"It did not hold: {len(faults)} faults.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
