"""Whether a history of reads and writes of one register is linearizable.

Every write has a value of its own. A write whose outcome is not known may have taken effect at any later time, or
never; one that was not read may be left out.
"""

INFINITY = float("inf")


class Operation:
    """One read or write: when it was sent, when it was answered, and the value. `known` tells an answered write."""

    def __init__(self, kind, value, sent, answered, known=True):
        self.kind, self.value, self.sent, self.known = kind, value, sent, known
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


if __name__ == "__main__":
    test()
    print("the checker accepts and refuses what it must")
