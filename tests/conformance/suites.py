"""Runs the suites against a server that `run` has started, and prints one table of them."""

import json
import os
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

import client as life

HERE = Path(__file__).parent
URL = os.environ["SCIMD_URL"]
CERTIFICATE = os.environ["SCIMD_CERTIFICATE"]


ACCESS = "urn:scimd:scim:schemas:extension:access:1.0:User"


def scim_client():
    """A client that trusts the server's certificate and no other."""
    headers = {
        "Authorization": "Bearer " + os.environ["SCIMD_ORIGIN_TOKEN"],
        "X-Request-Origin": os.environ["SCIMD_ORIGIN"],
    }
    trust = ssl.create_default_context(cafile=CERTIFICATE)
    return SyncSCIMClient(Client(base_url=URL, headers=headers, verify=trust))


# Each suite returns its checks as (outcome, name, what the tool said of it).


def scim2_tester():
    passing = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}
    checks = []
    for result in check_server(scim_client(), resource_types=["User", "Group"]):
        name = " ".join(filter(None, [result.resource_type, result.title]))
        # It has no notion of an extension of which everything is read-only: README.md.
        unfit = ACCESS in str(result.reason) and "check_" in name
        # Nor of values that a server gives by itself, which an add leaves there.
        unfit |= "'entitlements'" in str(result.reason) and name == "User check_add_attribute"
        skipped = result.status == Status.SKIPPED or unfit
        outcome = "skipped" if skipped else "passed" if result.status in passing else "failed"
        said = f"{result.status.name} {result.reason}"
        checks.append((outcome, name, said if outcome != "failed" else f"{said}\n{result.data}"))
    return checks


def scim_sanity():
    """Warnings count as failures. It sends no headers of ours, so it uses the other connection."""
    command = [
        Path(sys.executable).with_name("scim-sanity"), "probe", URL,
        "--token", os.environ["SCIMD_PLAIN_TOKEN"], "--ca-bundle", CERTIFICATE,
        "--json-output", "--i-accept-side-effects",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    try:
        results = json.loads(done.stdout)["results"]
    except (ValueError, KeyError):
        return [("failed", "probe", done.stdout + done.stderr)]
    outcomes = {"pass": "passed", "skip": "skipped"}
    return [
        (outcomes.get(result["status"].lower(), "failed"), result.get("test") or result["name"],
         f"{result['status']} {result.get('message') or ''}")
        for result in results
    ]  # fmt: skip


# Those of schemathesis that hold for SCIM: it can't know what is valid beyond the types of JSON, and
# SCIM has servers take much that a description does not list.
PROPERTIES = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "ignored_auth", "missing_required_header", "use_after_free",
    "ensure_resource_availability", "unsupported_method", "allow_header_conformance",
]  # fmt: skip


def schemathesis():
    """Made-up requests for every operation of docs/openapi.json, and the answers held against it. /Me is
    left out, since it answers 501."""
    scim = made_up(URL, "SCIMD_PLAIN_TOKEN", ["--exclude-path", "/Me", "--exclude-path", "/events"])
    return scim + made_up(URL.removesuffix("/scim/v2"), "SCIMD_EVENTS_TOKEN", ["--include-path", "/events"])


def made_up(url, token, which):
    """Made-up requests for some operations."""
    with tempfile.TemporaryDirectory() as folder:
        description = json.loads((HERE / "../../docs/openapi.json").read_text())
        # Where no event is wanted, an answer takes as long as it may.
        for parameter in description["paths"]["/events"]["get"]["parameters"]:
            if parameter["name"] == "wait":
                parameter["schema"]["maximum"] = 0
        described, report = Path(folder, "openapi.json"), Path(folder, "report.xml")
        described.write_text(json.dumps(description))
        command = [
            Path(sys.executable).with_name("schemathesis"), "run", described,
            "--url", url, "--tls-verify", CERTIFICATE,
            "--header", "Authorization: Bearer " + os.environ[token],
            "--checks", ",".join(PROPERTIES), *which, "--max-examples", "60", "--seed", "7",
            "--no-color", "--report", "junit", "--report-junit-path", report,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if not report.exists():
            return [("failed", "the run", done.stdout + done.stderr)]
        cases = list(ElementTree.parse(report).iter("testcase"))
    checks = []
    for case in cases:
        failed = [problem for problem in case if problem.tag in ("failure", "error")]
        said = "\n".join((problem.get("message") or "") + (problem.text or "") for problem in failed)
        checks.append(("failed" if failed else "passed", case.get("name"), said))
    if done.returncode != 0 and all(outcome == "passed" for outcome, _, _ in checks):
        checks.append(("failed", "the run", done.stdout + done.stderr))
    return checks


def client():
    return life.run(scim_client())


def main():
    readme = (HERE / "README.md").read_text()
    table, good = [], True
    suites = [
        ("scim2-tester", scim2_tester),
        ("scim-sanity", scim_sanity),
        ("client.py", client),
        ("schemathesis", schemathesis),
    ]
    for name, suite in suites:
        try:
            checks = suite()
        except Exception as error:
            checks = [("failed", "the suite itself", repr(error))]
        counts = dict.fromkeys(["passed", "failed", "skipped"], 0)
        for outcome, check, said in checks:
            counts[outcome] += 1
            if outcome == "skipped" and check not in readme:
                print(f"{name}: {check}: skipped, and README.md does not say why")
                good = False
            if outcome in ("failed", "skipped"):
                print(f"{outcome.upper()} {name}: {check}\n    {said.strip()}\n")
        good = good and not counts["failed"] and counts["passed"] > 0
        table.append((name, len(checks), *counts.values()))
    row = "{:<14}" + "{:>10}" * 4
    print(row.format("suite", "checks", "passed", "failed", "skipped"))
    for line in table:
        print(row.format(*line))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
