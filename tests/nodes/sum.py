"""Adds up the reports of drives, as a table.

    sum.py FILE ...
"""

import collections
import json
import sys


def main():
    runs = [json.loads(line) for name in sys.argv[1:] for line in open(name)]
    kinds, clusters = collections.Counter(), collections.Counter()
    for run in runs:
        kinds.update(run["faults"])
        clusters[f"{run['nodes']} nodes, reads {run['reads']}"] += sum(run["faults"].values())
    failed = [run for run in runs if run["result"] != "ok"]
    print("| Fault | Made |\n| --- | ---: |")
    for kind, count in sorted(kinds.items()):
        print(f"| `{kind}` | {count} |")
    print(f"| all | {sum(kinds.values())} |\n")
    print("; ".join(f"{name}: {count}" for name, count in sorted(clusters.items())))
    recoveries = sorted(seconds for run in runs for seconds in run["recovery_seconds"])
    if recoveries:
        print(f"ready after a promotion: median {recoveries[len(recoveries) // 2]} s, longest {recoveries[-1]} s")
    total = lambda key: sum(run[key] for run in runs)
    print(f"{len(runs)} runs, {total('seconds')} s: {total('operations')} requests, {total('acknowledged')} acknowledged")
    print("seeds: " + " ".join(str(run["seed"]) for run in runs))
    print(f"failed: {len(failed)}" + "".join(f"\n  seed {run['seed']}: {run['result']}"[:600] for run in failed))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
