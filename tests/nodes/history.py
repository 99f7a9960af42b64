"""Whether a history of reads and writes of one register is linearizable, and in the order of a log.

Every write has a value of its own. A write whose outcome is not known may have taken effect at any later time, or
never; one that was not read may be left out.
"""

INFINITY = float("inf")


class Operation:
    """One read or write: when it was sent, when it was answered, the value, and through which node. `known` tells an answered write."""

    def __init__(self, kind, value, sent, answered, known=True, node=None):
        self.kind, self.value, self.sent, self.known, self.node = kind, value, sent, known, node
        self.answered = answered if known else INFINITY

    def __repr__(self):
        return f"{self.kind} {self.value!r} [{self.sent:.3f}, {self.answered:.3f}]{'' if self.known else ' unknown'}"


def violation(operations, initial=None):
    """What contradicts linearizability, as text; None if nothing does."""
    read = {operation.value for operation in operations if operation.kind == "read"}
    kept = [
        operation for operation in operations
        if operation.known or (operation.kind == "write" and operation.value in read)
    ]
    kept.sort(key=lambda operation: operation.sent)
    written = {operation.value for operation in kept if operation.kind == "write"} | {initial}
    for operation in kept:
        if operation.kind == "read" and operation.value not in written:
            return f"{operation} reads what was never written"
    # Depth first over the sets of operations that have taken effect, each with the value at its end.
    total, seen = len(kept), set()
    stack = [(0, frozenset(), initial)]
    furthest = 0
    while stack:
        base, beyond, value = stack.pop()
        # All before `base` have taken effect, and of the later ones those in `beyond`.
        while base < total and base in beyond:
            beyond = beyond - {base}
            base += 1
        furthest = max(furthest, base)
        if base == total:
            return None
        state = (base, beyond, value)
        if state in seen:
            continue
        seen.add(state)
        deadline = INFINITY
        candidates = []
        for place in range(base, total):
            operation = kept[place]
            if operation.sent > deadline:
                break
            if place in beyond:
                continue
            candidates.append(place)
            deadline = min(deadline, operation.answered)
        for place in candidates:
            operation = kept[place]
            if operation.sent > deadline:
                continue
            if operation.kind == "write":
                stack.append((base, beyond | {place}, operation.value))
            elif operation.value == value:
                stack.append((base, beyond | {place}, value))
    around = kept[max(0, furthest - 3):furthest + 6]
    return "no order explains\n  " + "\n  ".join(map(repr, around))


def disorder(operations, log, local=False):
    """What of a history contradicts the order of the values in a log, as text; None if nothing does.

    With `local`, a read may give an older value than another node, but nothing older than its own node gave before.
    """
    place = {value: number for number, value in enumerate(log, 1)}
    if len(place) < len(log):
        return f"a value is in the log twice: {[value for value in place if log.count(value) > 1]}"
    place[None] = 0
    known = [operation for operation in operations if operation.known]
    for operation in known:
        if operation.value not in place:
            return f"{operation} is not in the log"
    # The latest place that was answered before a moment, of all operations or of those that bind a local read.
    ends = sorted(known, key=lambda operation: operation.answered)
    next, newest = 0, {}
    for operation in sorted(known, key=lambda operation: operation.sent):
        while next < len(ends) and ends[next].answered < operation.sent:
            end = ends[next]
            for group in {("all",), ("node", end.node), *([("writes",)] if end.kind == "write" else [])}:
                newest[group] = max(newest.get(group, (0, -1)), (place[end.value], next))
            next += 1
        group = ("all",)
        if local:
            group = ("node", operation.node) if operation.kind == "read" else ("writes",)
        bound, by = newest.get(group, (0, -1))
        if place[operation.value] < bound:
            return f"{operation} is older than what was answered before it: {ends[by]}"
    return None


def test():
    """The checker itself: what it must accept and refuse."""
    write = lambda value, sent, answered, known=True: Operation("write", value, sent, answered, known)
    read = lambda value, sent, answered: Operation("read", value, sent, answered)
    good = [
        [],
        [write(1, 0, 1), read(1, 2, 3)],
        [write(1, 0, 5), read(None, 1, 2), read(1, 3, 4)],
        [write(1, 0, 1, False), read(None, 2, 3), read(1, 4, 5)],
        [write(1, 0, 1), write(2, 0, 1), read(1, 2, 3)],
        [write(1, 0, 9, False), write(2, 1, 2), read(2, 3, 4), read(1, 5, 6)],
    ]
    bad = [
        [read(1, 0, 1)],
        [write(1, 0, 1), read(None, 2, 3)],
        [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
        [write(1, 0, 5), read(1, 1, 2), read(None, 3, 4)],
        [write(1, 0, 1, False), read(1, 2, 3), read(None, 4, 5)],
        [write(1, 0, 1), write(2, 0, 1), read(1, 2, 3), read(2, 4, 5)],
    ]
    for history in good:
        assert violation(history) is None, history
    for history in bad:
        assert violation(history), history
    at = lambda node, kind, value, sent, answered: Operation(kind, value, sent, answered, True, node)
    old = [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]
    elsewhere = [at("a", "write", 1, 0, 1), at("a", "write", 2, 2, 3), at("b", "read", 1, 4, 5)]
    here = [at("a", "write", 1, 0, 1), at("a", "write", 2, 2, 3), at("a", "read", 1, 4, 5)]
    back = [at("b", "read", 2, 0, 9), at("b", "read", 1, 10, 11)]
    swapped = [at("a", "write", 2, 0, 1), at("b", "write", 1, 2, 3)]
    for history, log, local, is_good in [
        (old[:2], [1, 2], False, True), (old, [1, 2], False, False), (elsewhere, [1, 2], True, True),
        (elsewhere, [1, 2], False, False), (here, [1, 2], True, False), (back, [1, 2], True, False),
        (swapped, [1, 2], True, False), (swapped, [2, 1], True, True), (old[:2], [1], False, False),
        (old[:2], [1, 2, 1], False, False), ([write(1, 0, 1, False)], [], False, True),
    ]:
        assert (disorder(history, log, local) is None) == is_good, (history, log, local)


if __name__ == "__main__":
    test()
    print("the checker accepts and refuses what it must")
