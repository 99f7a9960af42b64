//! The examples of every command: in its help, and in its manual page.

mod directory;

use clap::Command;

/// An example: what it does, and the command line.
pub(super) type Example = (&'static str, &'static str);

/// The examples of each command, by the words that name it after `scimd`.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            (
                "Start with nothing: create data directory, certificate and token, and serve",
                "scimd serve --first-boot",
            ),
            ("Show whether scimd runs, and what needs attention", "scimd status"),
            ("Show the failed requests of the last hour", "scimd requests --failed --since 1h"),
        ],
    ),
    (
        "init",
        &[
            (
                "Write /etc/scimd/config.toml for Okta",
                "scimd init --dir /etc/scimd --data-dir /var/lib/scimd --method okta --public-url https://scim.example.com:8443",
            ),
            (
                "Write ./config.toml for Entra ID, with a name of your own for the connection",
                "scimd init --method entra --name staff",
            ),
        ],
    ),
    (
        "serve",
        &[
            (
                "Create what is missing, print the settings for the identity provider, and serve",
                "scimd serve --first-boot",
            ),
            ("Serve by a configuration", "scimd serve --config /etc/scimd/config.toml"),
        ],
    ),
    ("console", &[("Print a link that signs you in to the web console", "scimd console link")]),
    (
        "console link",
        &[("Print a link that signs you in to the web console", "scimd console link")],
    ),
    (
        "setup",
        &[
            ("Print what to enter in the identity provider of the only connection", "scimd setup"),
            ("The same for Entra's or Okta's provisioning agent", "scimd setup --via agent"),
            (
                "Print it for one of several connections, for a program",
                "scimd setup --connection okta --json",
            ),
        ],
    ),
    ("connection", &[("List the connections", "scimd connection list")]),
    ("connection list", &[("List the connections as CSV", "scimd connection list --output csv")]),
    ("connection show", &[("Show the settings of a connection", "scimd connection show okta")]),
    (
        "connection add",
        &[(
            "Add a connection that may only change what it created",
            "scimd connection add entra --method entra --scope own --ip-allowlist 192.0.2.0/24",
        )],
    ),
    (
        "connection set",
        &[
            (
                "Limit the addresses of a connection",
                "scimd connection set okta --ip-allowlist '192.0.2.0/24, 198.51.100.7'",
            ),
            ("Remove that limit", "scimd connection set okta --unset ip_allowlist"),
        ],
    ),
    (
        "connection remove",
        &[(
            "Remove a connection that still has valid tokens",
            "scimd connection remove okta --yes",
        )],
    ),
    (
        "token",
        &[
            (
                "Create a token in a file that only you can read",
                "scimd token generate --output new.token",
            ),
            ("List tokens with their last use", "scimd token list"),
        ],
    ),
    (
        "token generate",
        &[
            (
                "Create a token in a file that only you can read",
                "scimd token generate --connection okta --output new.token",
            ),
            (
                "Create one for 90 days, with a note of what it is for",
                "scimd token generate --expires 90d --description 'load test'",
            ),
        ],
    ),
    (
        "token reset",
        &[(
            "Rotate: create a token, and keep the others valid for a day",
            "scimd token reset --connection okta --overlap 24h --output new.token",
        )],
    ),
    (
        "token list",
        &[
            ("List tokens with status, expiry and last use", "scimd token list"),
            ("The same for a spreadsheet", "scimd token list --output csv"),
        ],
    ),
    (
        "token revoke",
        &[
            ("Revoke a token by the beginning of its id", "scimd token revoke df24"),
            ("Revoke two without a question", "scimd token revoke df24c0ffee00 0123456789ab --yes"),
        ],
    ),
    (
        "client",
        &[
            ("Generate an OAuth client", "scimd client generate --connection okta"),
            ("List clients with their last use", "scimd client list"),
        ],
    ),
    (
        "client generate",
        &[
            (
                "Generate an OAuth client for 180 days",
                "scimd client generate --connection okta --expires 180d --description 'load test'",
            ),
            ("Generate one, and print it as JSON", "scimd client generate --json"),
            (
                "Generate one that signs with its own key",
                "scimd client generate --connection okta --public-key client.pub",
            ),
        ],
    ),
    (
        "client list",
        &[(
            "List the clients of one connection as CSV",
            "scimd client list --connection okta --output csv",
        )],
    ),
    (
        "client revoke",
        &[
            ("Revoke a client and its access tokens", "scimd client revoke client-5d0c6ac7e1f2"),
            ("Revoke all clients of a connection", "scimd client revoke --connection okta"),
        ],
    ),
    (
        "operator",
        &[
            ("Add an operator who only reads", "scimd operator add ada"),
            ("List all operators", "scimd operator list"),
        ],
    ),
    (
        "operator add",
        &[
            (
                "Add an admin, who chooses a password by a sign-in link",
                "scimd operator add ada --role admin",
            ),
            (
                "Add an operator with a password, and print the secret of the one-time codes",
                "scimd operator add ada --role operator --password-file -",
            ),
        ],
    ),
    ("operator list", &[("List the operators as JSON", "scimd operator list --json")]),
    ("operator set", &[("Give an operator another role", "scimd operator set ada --role viewer")]),
    ("operator remove", &[("Remove an operator, whose sessions end", "scimd operator remove ada")]),
    (
        "audit",
        &[
            ("Show the newest 100 changes", "scimd audit"),
            (
                "Show who was deactivated or deleted this day",
                "scimd audit --event user.patched,user.deleted --since 24h",
            ),
            ("Show what happened to one user", "scimd audit --user ada@example.com"),
            ("Check the integrity of all of it", "scimd audit --verify"),
        ],
    ),
    (
        "status",
        &[("Show how scimd is doing; exit code 1 if something needs attention", "scimd status")],
    ),
    (
        "doctor",
        &[
            ("Check what keeps an identity provider from reaching scimd", "scimd doctor"),
            (
                "Wait for the first request of a new connection",
                "scimd doctor --connection okta --wait",
            ),
        ],
    ),
    (
        "requests",
        &[
            ("Show the failed requests of the last hour", "scimd requests --failed --since 1h"),
            ("Follow the requests of one connection", "scimd requests --connection okta --follow"),
            (
                "Keep the bodies of its requests for ten minutes",
                "scimd requests --capture 10m --connection okta",
            ),
        ],
    ),
    ("requests show", &[("Explain why a request failed", "scimd requests show 01HQZX3V9K")]),
    (
        "export",
        &[
            ("Export users and access, one JSON object on each line", "scimd export"),
            ("Export them for a spreadsheet", "scimd export --output csv"),
        ],
    ),
    ("backup", &[("Back up everything to a new file", "scimd backup /mnt/backup/scimd-monday")]),
    (
        "restore",
        &[
            (
                "Restore a backup, and check its signature",
                "scimd restore /mnt/backup/scimd-monday --key signing.pub",
            ),
            (
                "Restore it without the tokens that were valid then",
                "scimd restore /mnt/backup/scimd-monday --revoke-tokens",
            ),
        ],
    ),
    (
        "verify",
        &[
            ("Check the data directory, also while scimd runs", "scimd verify"),
            ("Check it, and compact the database", "scimd verify --compact"),
        ],
    ),
    (
        "brake",
        &[
            ("Show the brake of every connection", "scimd brake"),
            ("Resume a paused connection", "scimd brake resume --connection okta"),
        ],
    ),
    ("brake status", &[("Show the brake of every connection", "scimd brake status")]),
    ("brake show", &[("Show what a paused connection was refused", "scimd brake show okta")]),
    (
        "brake allow",
        &[(
            "Allow 50 planned leavers within two hours",
            "scimd brake allow 50 --for 2h --connection okta --reason 'end of season'",
        )],
    ),
    (
        "brake pause",
        &[(
            "Refuse the changes of a connection",
            "scimd brake pause --connection okta --reason maintenance",
        )],
    ),
    (
        "brake resume",
        &[("Accept the changes of a connection again", "scimd brake resume --connection okta")],
    ),
    ("nodes", &[("List the nodes that share a log in a database", "scimd nodes")]),
    (
        "nodes upgrade",
        &[("Raise the format of the log once all nodes are upgraded", "scimd nodes upgrade")],
    ),
    (
        "migrate",
        &[
            (
                "Copy the log into a database; with scimd stopped, finish",
                "scimd migrate --to postgres",
            ),
            ("Keep the log in files again", "scimd migrate --to local"),
        ],
    ),
    ("clock", &[("Show whether the clock is trusted", "scimd clock")]),
    ("clock status", &[("Show whether the clock is trusted", "scimd clock status")]),
    ("clock accept", &[("Accept the clock after it was set right", "scimd clock accept")]),
    (
        "undo",
        &[
            ("Show what an undo would change", "scimd undo --since 30m --dry-run"),
            (
                "Revert what one connection alone has changed",
                "scimd undo --since 2h --connection okta",
            ),
            (
                "Activate again who was deactivated in a time",
                "scimd undo --since 2026-03-01T08:15:00Z --until 2026-03-01T09:00:00Z --only deactivated",
            ),
        ],
    ),
    ("events", &[("Follow the change feed", "scimd events --follow")]),
    ("webhook", &[("List webhooks and how far their deliveries are", "scimd webhook list")]),
    ("webhook list", &[("List webhooks as JSON", "scimd webhook list --json")]),
    ("webhook test", &[("Send a test event to a webhook", "scimd webhook test crm")]),
    (
        "webhook resend",
        &[(
            "Send every event that is kept to a webhook again",
            "scimd webhook resend crm --after oldest",
        )],
    ),
    (
        "import",
        &[
            (
                "Show what an import would create and change",
                "scimd import users.csv --connection okta --dry-run",
            ),
            (
                "Import users and groups that another scimd has exported",
                "scimd import export.jsonl",
            ),
        ],
    ),
    ("notify", &[("Check that notifications arrive", "scimd notify test")]),
    ("notify test", &[("Check that notifications arrive", "scimd notify test")]),
    ("reload", &[("Put a changed configuration in force", "scimd reload")]),
    ("config", &[("Check the configuration", "scimd config check")]),
    (
        "config show",
        &[
            ("Show every setting in force, and where it comes from", "scimd config show --origin"),
            ("Show them for a program", "scimd config show --output json"),
        ],
    ),
    (
        "config check",
        &[
            ("Check the configuration and the files that it names", "scimd config check"),
            (
                "Check a new file against the accounts before it is put in place",
                "scimd config check --data --config new.toml",
            ),
        ],
    ),
    ("completions", &[("Print the completions for bash", "scimd completions bash")]),
    ("manual", &[("Write the manual pages to a folder", "scimd manual /usr/local/share/man/man1")]),
    (
        "recover",
        &[(
            "Save what the database holds, before the backup is restored into an empty data directory",
            "scimd recover --from-database /var/backups/scimd-recovered",
        )],
    ),
    (
        "version",
        &[
            ("Show which build this is", "scimd version"),
            ("The same for a program, such as an inventory", "scimd version --json"),
        ],
    ),
];

/// The examples of all commands.
fn all() -> impl Iterator<Item = &'static (&'static str, &'static [Example])> {
    EXAMPLES.iter().chain(directory::EXAMPLES)
}

/// The examples of a command, by the words that name it after `scimd`.
pub(super) fn of(command: &str) -> &'static [Example] {
    let found = all().find(|(name, _)| *name == command);
    found.map_or(&[], |(_, examples)| examples)
}

/// The command line with the examples at the end of each page of its help.
pub(super) fn add_to(scimd: Command) -> Command {
    add(scimd, "")
}

fn add(command: Command, name: &str) -> Command {
    let examples = of(name).iter().map(|(what, line)| format!("  # {what}\n  {line}\n"));
    let text = examples.collect::<String>();
    let below: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = match text.is_empty() {
        true => command,
        false => command.after_help(format!("Examples:\n{}", text.trim_end())),
    };
    below.into_iter().fold(command, |command, word| {
        let path = format!("{name} {word}").trim_start().to_owned();
        command.mut_subcommand(word, |below| add(below, &path))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// The words of a command line, as a shell has them; single quotes alone are known.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (number, part) in line.split('\'').enumerate() {
            match number % 2 {
                0 => words.extend(part.split_whitespace().map(ToOwned::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        words
    }

    fn names(command: &Command, name: &str, found: &mut BTreeSet<String>) {
        found.insert(name.to_owned());
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            names(below, format!("{name} {}", below.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_examples_and_they_are_of_it() {
        let mut commands = BTreeSet::new();
        names(&Cli::command(), "", &mut commands);
        let with: BTreeSet<String> = all().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(with, commands, "the table has each command once");
        for (name, examples) in all() {
            let start = format!("scimd {name}");
            for (what, line) in *examples {
                assert!(line.starts_with(start.trim_end()), "{line}");
                assert!(!what.is_empty() && !what.ends_with('.'), "{what}");
            }
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_scimd_takes() {
        for (_, line) in all().flat_map(|(_, examples)| *examples) {
            let parsed = Cli::command().try_get_matches_from(words(line));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn the_help_ends_with_them() {
        let mut scimd = add_to(Cli::command());
        let token = scimd.find_subcommand_mut("token").unwrap();
        let help = token.find_subcommand_mut("reset").unwrap().render_help().to_string();
        assert!(help.contains("Examples:\n  # Rotate:"), "{help}");
        assert!(help.trim_end().ends_with("--output new.token"), "{help}");
    }
}
