"""Faults of the network: packets between nodes and servers are dropped, refused, lost at random or delayed.

Every link has a loopback address of its own: 127.1.N.1 leads node N to the servers, 127.1.9.1 the standby to the primary. The rules apply
in a network namespace that this process has for itself, so that they touch nothing else and end with it.
"""

import os
import pathlib
import shutil
import subprocess
import sys

# Set in the environment of a process that is in its own namespace.
INSIDE = "SCIMD_NODES_NETWORK"
REPLICATION = "127.1.9.1"
NODES = 4
CHAIN = "add table inet faults; add chain inet faults input { type filter hook input priority 0; }"


def enter():
    """Starts this program again in a network namespace of its own, if that is permitted here; else says so and returns."""
    if is_available() or os.environ.get(INSIDE):
        return
    missing = [tool for tool in ("unshare", "ip", "nft", "tc") if not shutil.which(tool)]
    if missing:
        print(f"NOT MEASURED: faults of the network, as there is no {', no '.join(missing)}", flush=True)
        return
    begin = f"ip link set lo up && ip link set lo mtu 1500 && nft '{CHAIN}'"
    if subprocess.run(["unshare", "--net", "sh", "-c", begin], capture_output=True).returncode != 0:
        print("NOT MEASURED: faults of the network, as no network namespace with rules can be made here", flush=True)
        return
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", f'{begin} && exec "$0" "$@"', sys.executable, *sys.argv])


def is_available():
    # The marker alone could be inherited.
    interfaces = [line.split(":")[0].strip() for line in pathlib.Path("/proc/net/dev").read_text().splitlines()[2:]]
    return INSIDE in os.environ and interfaces == ["lo"]


def address(node):
    """Over which a node reaches the servers."""
    return f"127.1.{node + 1}.1" if is_available() else "127.0.0.1"


def replication():
    """Over which the standby reaches the primary."""
    return REPLICATION if is_available() else "127.0.0.1"


def listened():
    """Where a server listens."""
    links = [address(node) for node in range(NODES)] + [REPLICATION] if is_available() else []
    return ",".join(["127.0.0.1", *links])


def drop(link, server):
    rule(f"ip daddr {link} tcp dport {server.port} drop")
    rule(f"ip saddr {link} tcp sport {server.port} drop")


def refuse(link, server):
    """Whoever connects or sends is answered with a reset."""
    rule(f"ip daddr {link} tcp dport {server.port} reject with tcp reset")
    rule(f"ip saddr {link} tcp sport {server.port} tcp flags & rst == 0 drop")


def lose(link, server, percent):
    rule(f"ip daddr {link} tcp dport {server.port} numgen random mod 100 < {percent} drop")
    rule(f"ip saddr {link} tcp sport {server.port} numgen random mod 100 < {percent} drop")


def rule(text):
    call("nft", f"add rule inet faults input {text}")


def slow(link, kbit):
    """Has all packets of an address, in both directions, share a line of so much a second."""
    call("tc", "qdisc replace dev lo root handle 1: htb default 1 r2q 1000")
    call("tc", "class replace dev lo parent 1: classid 1:1 htb rate 10gbit quantum 60000")
    call("tc", f"class replace dev lo parent 1: classid 1:2 htb rate {kbit}kbit burst 1600 quantum 1600")
    for end in ("src", "dst"):
        call("tc", f"filter add dev lo parent 1: protocol ip prio 5 u32 match ip {end} {link}/32 flowid 1:2")


def heal():
    call("nft", "flush chain inet faults input")
    # There is none as a rule.
    subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], capture_output=True)


def call(program, arguments):
    subprocess.run([program, *arguments.split()], check=True, capture_output=True)
