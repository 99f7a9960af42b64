"""Scenes about what is common to the nodes: settings, connections, webhooks, the format of the log. `scenarios.py` plays them."""

from scenarios import eventually, started

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


SCENES = [
    a_reload_is_refused_while_the_file_of_another_node_differs,
    a_node_that_knows_less_than_the_format_refuses_and_keeps_others_from_raising_it,
]
