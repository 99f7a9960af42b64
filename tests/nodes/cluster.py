"""A cluster on loopback: PostgreSQL with a synchronous standby, and nodes of scimd."""

import http.client
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

import network


class NotMeasured(Exception):
    """This machine lacks what a scene needs."""


# The ports that were given out: a server may bind its own much later.
given_ports = set()


def free_port():
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in given_ports:
            given_ports.add(port)
            return port


def programs():
    """The folder of PostgreSQL's programs: `PG_BIN`, or the newest of Debian's."""
    if "PG_BIN" in os.environ:
        return pathlib.Path(os.environ["PG_BIN"])
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return found[-1]


def false_clock():
    """The library of Debian's faketime; None where it is not installed."""
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return found[0] if found else None


class Postgres:
    """One server: a primary, or a standby of one."""

    def __init__(self, folder, name):
        self.folder, self.name, self.port = folder / name, name, free_port()
        self.data = self.folder / "data"
        self.folder.mkdir()
        self.owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self.owner:
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)

    def call(self, program, *arguments, check=True):
        as_owner = ["runuser", "-u", "postgres", "--"] if self.owner else []
        command = as_owner + [str(programs() / program), *map(str, arguments)]
        return subprocess.run(command, check=check, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def initialize(self):
        self.call("initdb", "-D", self.data, "--auth=trust", "--username=postgres", "--no-sync")
        with open(self.data / "postgresql.conf", "a") as settings:
            settings.write(
                f"listen_addresses = '{network.listened()}'\nwal_level = replica\nmax_wal_senders = 8\nhot_standby = on\n"
                f"unix_socket_directories = '{self.folder}'\nwal_receiver_timeout = '3s'\nwal_sender_timeout = '3s'\n"
                "wal_keep_size = '256MB'\nwal_receiver_status_interval = 1\n"
            )

    def follow(self, primary):
        """Becomes a standby of another server, from a copy of it."""
        shutil.rmtree(self.data, ignore_errors=True)
        source = f"host={network.replication()} port={primary.port} user=postgres application_name={self.name}"
        self.call("pg_basebackup", "-D", self.data, "-X", "stream", "--checkpoint=fast", "--no-sync", "-d", source)
        os.chmod(self.data, 0o700)
        with open(self.data / "postgresql.conf", "a") as settings:
            settings.write(f"unix_socket_directories = '{self.folder}'\n")
        # What a newer `pg_basebackup -R` writes of a connection an older server may not know.
        with open(self.data / "postgresql.auto.conf", "a") as settings:
            settings.write(f"primary_conninfo = '{source}'\nsynchronous_standby_names = ''\n")
        standby = self.data / "standby.signal"
        standby.touch()
        if self.owner:
            os.chown(standby, self.owner.pw_uid, self.owner.pw_gid)

    def start(self):
        self.call("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.folder / "log", "-o", f"-p {self.port}", "start")

    def stop(self, mode="immediate"):
        self.call("pg_ctl", "-D", self.data, "-m", mode, "-w", "-t", "30", "stop", check=False)

    def promote(self):
        self.call("pg_ctl", "-D", self.data, "-w", "-t", "60", "promote")

    def pid(self):
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def processes(self):
        pid = self.pid()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def send(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def query(self, statement, database="scimd"):
        command = ["psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        environment = {**os.environ, "PGCONNECT_TIMEOUT": "5"}
        answer = subprocess.run(
            [*command, "-c", statement], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        return answer.stdout.strip()

    def wait_for_standby(self, name):
        """Waits until the standby has caught up, and makes it the synchronous one."""
        statement = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        for _ in range(300):
            if self.query(statement, "postgres") == "1":
                break
            time.sleep(0.1)
        else:
            raise TimeoutError("the standby does not follow")
        self.query(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", "postgres")
        self.query("SELECT pg_reload_conf()", "postgres")
        for _ in range(100):
            state = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{name}'"
            if self.query(state, "postgres") == "sync":
                return
            time.sleep(0.1)
        raise TimeoutError("the standby is not synchronous")


class Node:
    """One scimd."""

    def __init__(self, binary, folder, name, servers, reads="latest", extra="", number=0):
        self.binary, self.folder, self.name = binary, folder / name, name
        # Over which it reaches the servers.
        self.link = network.address(number)
        self.port, self.process, self.environment = free_port(), None, {}
        self.folder.mkdir()
        self.write_url(servers)
        (self.folder / "config.toml").write_text(
            'data_dir = "data"\npublic_url = "http://127.0.0.1"\n'
            f'[listen]\naddress = "127.0.0.1:{self.port}"\ntls = false\n[console]\nenabled = false\n'
            '[connections.okta]\nmethod = "okta"\n'
            f'[store]\nengine = "postgres"\nurl_file = "url"\nreads = "{reads}"\nmin_free_mib = 0\n{extra}'
        )

    def write_url(self, servers):
        hosts = ",".join(f"{self.link}:{server.port}" for server in servers)
        url = self.folder / "url"
        url.write_text(f"postgres://scimd@{hosts}/scimd?sslmode=disable\n")
        url.chmod(0o600)

    def set_clock(self, seconds):
        """Has its clock differ from the right one by so much, also while it runs: see `falsify_clock`."""
        clock = self.folder / "clock"
        clock.with_name("clock.new").write_text(f"{seconds:+}\n")
        clock.with_name("clock.new").rename(clock)

    def falsify_clock(self):
        """From the next start on, the node goes by a clock that `set_clock` sets; the monotonic clock goes on as ever."""
        self.set_clock(0)
        self.environment = {
            "LD_PRELOAD": str(false_clock()), "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }

    def start(self, *arguments, wait=True):
        log = open(self.folder / "log", "a")
        self.process = subprocess.Popen(
            [str(self.binary), "serve", *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, **self.environment},
        )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, limit=60):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self.log()[-2000:]}")
            try:
                if self.request("GET", "/readyz", token=None)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} is not ready: {self.log()[-2000:]}")

    def log(self):
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def kill(self):
        self.process.kill()
        self.process.wait()

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def run(self, *arguments, check=True):
        return subprocess.run(
            [str(self.binary), *arguments], cwd=self.folder, check=check, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        )

    def request(self, method, path, body=None, token=None, timeout=10):
        """Status and JSON of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/scim+json"
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()


class Cluster:
    """A primary, perhaps a standby, and some nodes."""

    def __init__(self, binary, folder, nodes=2, standby=True, reads="latest"):
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o755)
        self.primary, self.standby = Postgres(self.folder, "one"), None
        self.primary.initialize()
        self.primary.start()
        self.primary.query("CREATE ROLE scimd LOGIN", "postgres")
        self.primary.query("CREATE DATABASE scimd OWNER scimd", "postgres")
        if standby:
            self.standby = Postgres(self.folder, "two")
            self.standby.follow(self.primary)
            self.standby.start()
            self.primary.wait_for_standby("two")
        self.binary = binary
        self.nodes = [
            Node(binary, self.folder, f"node{number}", self.servers(), reads, number=number) for number in range(nodes)
        ]

    def servers(self):
        return [server for server in (self.primary, self.standby) if server]

    def start(self):
        for node in self.nodes:
            node.start()

    def fail_over(self):
        """The primary is gone at once; its standby takes over, and the other becomes a standby of that."""
        old, new = self.primary, self.standby
        old.stop("immediate")
        new.promote()
        promoted = time.monotonic()
        self.primary, self.standby = new, old
        return promoted

    def rebuild_standby(self):
        self.standby.follow(self.primary)
        self.standby.start()
        self.primary.wait_for_standby(self.standby.name)

    def end(self):
        for node in self.nodes:
            try:
                node.end()
            except subprocess.TimeoutExpired:
                print(f"{node.name} did not end in time")
        for server in self.servers():
            try:
                server.send(signal.SIGCONT)
            except OSError:
                pass
            server.stop()
