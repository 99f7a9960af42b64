"""Builds scimd with one safeguard removed at a time: a scene must fail for each.

    canaries.py SOURCE TARGET [WORD]      only those whose name contains the word
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

# What is removed: the file, a pattern and its replacement, and the scene that must fail.
CANARIES = {
    "a commit that is not waited for": (
        "client.rs", r"SET synchronous_commit = on;", "SET synchronous_commit = off;", "survives_a_crash",
    ),
    "no check of the head": (
        "session.rs", r"(?s)WHERE EXISTS \(SELECT FROM scimd_log WHERE sequence = \$5 AND hash = \$6\).*?ORDER BY",
        "WHERE $5::bigint IS NOT NULL AND $6::bytea IS NOT NULL \\\n      ORDER BY", "wrong_database_is_refused",
    ),
    "no write before a server is believed": (
        "session.rs", r"let rows = self\.connection\.commit\(CALL, Some\(\"BEGIN\"\), &self\.barrier, &parameters\)\?;",
        "let _ = parameters; let rows: Vec<Row> = Vec::new(); "
        "if rows.is_empty() { self.proven = Some(since); return Ok(()); }", "a_replaced_primary",
    ),
    "a new timeline is written to at once": (
        "node.rs", r"NEW_TIMELINE\.saturating_sub", "Duration::ZERO.saturating_sub", "cut_off",
    ),
    "a group whose answer was lost is run again": (
        "appender.rs", r"std::thread::sleep\(PAUSE\);",
        "std::thread::sleep(PAUSE); let session = open(core, session)?; core.catch_up(session)?; "
        "return Ok(Appended::Moved);", "lost_answer",
    ),
    "a warning that the standby lacks a commit is ignored": (
        "client.rs", r"if self\.warned\.swap\(false, Ordering::SeqCst\) \{",
        "if self.warned.swap(false, Ordering::SeqCst) && limit.is_zero() {", "cancelled",
    ),
}


def main():
    source, target = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    here = pathlib.Path(__file__).resolve().parent
    copy = target / "nodes" / "canary"
    missed = []
    for name, (file, pattern, replacement, scene) in CANARIES.items():
        if len(sys.argv) > 3 and sys.argv[3] not in name:
            continue
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for part in ("src", "templates", "examples", "tests"):
            shutil.copytree(source / part, copy / part)
        for part in ("Cargo.toml", "Cargo.lock", "config.example.toml", "README.md"):
            shutil.copy(source / part, copy / part)
        for part in ("docs", "packaging", "bench", ".cargo"):
            if (source / part).exists():
                shutil.copytree(source / part, copy / part)
        path = copy / "src/log/postgres" / file
        text, count = re.subn(pattern, lambda _: replacement, path.read_text(), count=1)
        assert count == 1, f"{name}: {file} has no {pattern}"
        path.write_text(text)
        environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
        subprocess.run(["cargo", "build", "--locked", "--quiet", "--bin", "scimd"], cwd=copy, check=True, env=environment)
        binary = copy / "scimd"
        shutil.copy(target / "debug/scimd", binary)
        played = subprocess.run(
            [sys.executable, str(here / "scenarios.py"), str(binary), scene], stdout=subprocess.PIPE, text=True
        )
        lines = [line for line in played.stdout.splitlines() if re.match(r"\w+: (ok|FAILED|NOT MEASURED)", line)]
        assert lines, f"no scene is called {scene}"
        if "NOT MEASURED" in lines[-1]:
            print(f"{name}: {lines[-1]}", flush=True)
            continue
        caught = played.returncode != 0
        line = max(lines, key=lambda line: "FAILED" in line)
        print(f"{name}: {'CAUGHT' if caught else 'MISSED'} by {line[:160]}", flush=True)
        if not caught:
            missed.append(name)
    shutil.rmtree(copy, ignore_errors=True)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
