"""What goes wrong in a drive: nodes, servers, clocks and network."""

import signal
import time

import network

MINUTE, HOUR, DAY = 60, 3600, 86400
# How far a clock jumps, and whether the node is restarted meanwhile: a start trusts a clock that is up to 90 days ahead.
JUMPS = (
    (5 * MINUTE, True), (-5 * MINUTE, True), (20 * MINUTE, False), (-20 * MINUTE, True), (3 * HOUR, False), (-3 * HOUR, True),
    (2 * DAY, False), (-2 * DAY, True), (100 * DAY, True), (-100 * DAY, True),
)


def pause(seconds, *targets):
    for target in targets:
        target.send(signal.SIGSTOP)
    time.sleep(seconds)
    for target in targets:
        target.send(signal.SIGCONT)


class Faults:
    """Chooses and makes faults, one after the other; each has ended when its method returns."""

    def __init__(self, cluster, choose, change):
        """`change` makes a change through a node, and returns whether it was acknowledged."""
        self.cluster, self.choose, self.change = cluster, choose, change
        self.counts, self.recoveries = {}, []

    def node(self):
        return self.choose.choice(self.cluster.nodes)

    def between(self, least, most):
        return least + (most - least) * self.choose.random()

    def kill_node(self):
        node = self.node()
        node.kill()
        time.sleep(self.choose.random())
        node.start()

    def pause_node(self):
        pause(self.between(0.2, 3.7), self.node())

    def pause_primary(self):
        pause(self.between(0.2, 3.2), self.cluster.primary)

    def pause_standby(self):
        pause(self.between(0.2, 2.2), self.cluster.standby)

    def cut_connections(self):
        statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'scimd'"
        self.cluster.primary.query(statement)

    def crash_primary(self):
        self.cluster.primary.stop("immediate")
        time.sleep(self.choose.random())
        self.cluster.primary.start()

    def fail_over(self):
        promoted = self.cluster.fail_over()
        # The new primary has no standby yet, and so commits alone until it has one.
        self.recoveries.append(self.recovered(promoted, self.cluster.nodes))
        self.cluster.rebuild_standby()

    def recovered(self, since, nodes):
        """Waits until each of these nodes makes changes again; how long it took."""
        for node in nodes:
            while not self.change(node):
                assert time.monotonic() < since + 60, f"{node.name} makes no changes 60 s after a promotion"
                time.sleep(0.05)
        return time.monotonic() - since

    def jump_clock(self):
        node = self.node()
        seconds, may_restart = self.choose.choice(JUMPS)
        restarts = self.choose.random() < 0.3 and may_restart
        node.set_clock(seconds)
        if restarts:
            node.kill()
            node.start()
        time.sleep(self.between(0.5, 3))
        node.set_clock(0)
        end = time.monotonic() + 20
        while "not trusted" in (said := node.run("clock", check=False).stdout) or not said:
            assert time.monotonic() < end, f"{node.name} does not trust a clock that is right again: {said}"
            time.sleep(0.2)

    def cut_node(self):
        """One node and the servers have no packets from each other."""
        node = self.node()
        seconds, way = self.between(0.5, 6), self.choose.choice((network.drop, network.drop, network.refuse))
        for server in self.cluster.servers():
            way(node.link, server)
        time.sleep(seconds)
        network.heal()

    def cut_standby(self):
        seconds = self.between(0.5, 5)
        network.drop(network.REPLICATION, self.cluster.primary)
        time.sleep(seconds)
        network.heal()

    def link(self):
        """The address of a node or of the standby."""
        return self.choose.choice([*(node.link for node in self.cluster.nodes), network.REPLICATION])

    def lose_packets(self):
        link, percent = self.link(), self.choose.choice((5, 15, 30))
        for server in self.cluster.servers():
            network.lose(link, server, percent)
        time.sleep(self.between(1, 5))
        network.heal()

    def slow_link(self):
        network.slow(self.link(), self.choose.choice((32, 64, 256)))
        time.sleep(self.between(1, 4))
        network.heal()

    def isolate_primary(self):
        """The primary and one node are cut off from the others, and the standby takes over at once."""
        cluster = self.cluster
        alone = self.node()
        others = [node for node in cluster.nodes if node is not alone]
        old, new = cluster.primary, cluster.standby
        way = self.choose.choice((network.drop, network.refuse))
        network.drop(network.REPLICATION, old)
        network.drop(alone.link, new)
        for node in others:
            way(node.link, old)
        new.promote()
        promoted = time.monotonic()
        self.recoveries.append(self.recovered(promoted, others))
        time.sleep(self.between(0.5, 2.5))
        # Fenced before the network is whole again.
        old.stop("immediate")
        network.heal()
        cluster.primary, cluster.standby = new, old
        self.recovered(time.monotonic(), [alone])
        cluster.rebuild_standby()

    ALWAYS = (
        (kill_node, 4), (pause_node, 3), (pause_primary, 2), (pause_standby, 2), (cut_connections, 4), (crash_primary, 3),
        (fail_over, 1),
    )
    WITH_CLOCKS = ((jump_clock, 4),)
    WITH_NETWORK = ((cut_node, 4), (cut_standby, 2), (lose_packets, 2), (slow_link, 2), (isolate_primary, 1))

    def kinds(self, clocks):
        kinds = list(self.ALWAYS)
        if clocks:
            kinds += self.WITH_CLOCKS
        if network.is_available():
            kinds += self.WITH_NETWORK
        return kinds

    def one(self, clocks):
        kinds, weights = zip(*self.kinds(clocks))
        fault = self.choose.choices(kinds, weights)[0]
        self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1
        fault(self)
