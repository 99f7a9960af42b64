"""Scenes about the network and clocks. `scenarios.py` plays them."""

import datetime
import json
import time

import network
from cluster import NotMeasured, false_clock
from scenarios import create, eventually, find, rename, started


def a_node_that_is_cut_off_with_the_old_primary_gives_no_old_value(scene):
    if not network.is_available():
        raise NotMeasured("no network namespace")
    cluster = scene(nodes=2, standby=True)
    token = started(cluster)
    one, two = cluster.nodes
    id = create(one, "ada@example.com", token)[1]["id"]
    for turn in range(2):
        old, new = cluster.primary, cluster.standby
        # Node two looks for a primary already when the standby becomes one.
        network.refuse(two.link, old)
        time.sleep(0.3)
        # Node one has just been shown that the old primary is in force.
        assert rename(one, id, f"before {turn}", token) == 200
        network.drop(network.REPLICATION, old)
        network.drop(one.link, new)
        new.promote()
        promoted = time.monotonic()
        while rename(two, id, f"after {turn}", token) != 200:
            assert time.monotonic() < promoted + 30, "node two makes no changes"
        print(f"  changes went on {time.monotonic() - promoted:.1f} s after the promotion")
        status, answer = one.request("GET", f"/scim/v2/Users/{id}", None, token, timeout=20)
        assert status == 503, (status, answer)
        if turn == 1:
            assert create(one, "lost@example.com", token)[0] == 503
        old.stop("immediate")
        network.heal()
        cluster.primary, cluster.standby = new, old
        value = lambda: one.request("GET", f"/scim/v2/Users/{id}", None, token)[1].get("displayName")
        eventually(lambda: value() == f"after {turn}", "node one finds the primary in force")
        assert find(one, "lost@example.com", token) == (200, 0)
        cluster.rebuild_standby()


def a_clock_that_jumps_leaves_no_trace_in_the_log(scene):
    if not false_clock():
        raise NotMeasured("no libfaketime")
    cluster = scene(nodes=2)
    one, two = cluster.nodes
    for node in cluster.nodes:
        node.falsify_clock()
    token = started(cluster)
    created = 0
    for jump, restarts in ((100 * 86_400, False), (-3 * 3_600, False), (100 * 86_400, True), (-86_400, True)):
        one.set_clock(jump)
        if restarts:
            one.kill()
            one.start()
        eventually(lambda: "not trusted" in one.run("clock", check=False).stdout, f"a jump of {jump} s is noticed")
        assert "not trusted" not in two.run("clock", check=False).stdout
        for node in (one, two, one):
            created += 1
            assert create(node, f"user{created}@example.com", token)[0] == 201
            assert find(two if node is one else one, f"user{created}@example.com", token) == (200, 1)
        one.set_clock(0)
        eventually(lambda: "not trusted" not in one.run("clock", check=False).stdout, "a clock that is right again is trusted")
    now = datetime.datetime.now(datetime.timezone.utc)
    records = [json.loads(line) for line in two.run("audit", "--all", "--json", "--since", "2000-01-01").stdout.splitlines()]
    times = [datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")) for record in records]
    assert times == sorted(times) and now - datetime.timedelta(minutes=5) < times[0] and times[-1] < now + datetime.timedelta(minutes=1)
    assert any(record["event"] == "clock.alarmed" for record in records)


SCENES = [
    a_node_that_is_cut_off_with_the_old_primary_gives_no_old_value,
    a_clock_that_jumps_leaves_no_trace_in_the_log,
]
