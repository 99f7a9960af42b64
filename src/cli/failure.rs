//! How a failure is printed: as lines `error: ...` for people, or as one JSON object for a program that asked for JSON.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde_json::json;

use super::exit::{ExitKind, error_lines, error_text};
use super::output::{printable, visible_json};

/// The form in which a failure is printed on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureForm {
    /// A line `error: ...` for each line of its text.
    Text,
    /// One line `{"error": {"code": 4, "kind": "not_found", "message": "..."}}`.
    Json,
}

impl FailureForm {
    /// The form that goes with the form of the result: JSON with `--json` and `--output json` or `jsonl`.
    pub(super) fn of_matches(mut matches: &ArgMatches) -> Self {
        loop {
            if asks_for_json(matches) {
                return Self::Json;
            }
            match matches.subcommand() {
                Some((_, below)) => matches = below,
                None => return Self::Text,
            }
        }
    }

    /// The form that goes with a command line that could not be understood.
    pub(super) fn of_arguments(arguments: impl Iterator<Item = OsString>) -> Self {
        let mut before = String::new();
        for argument in arguments {
            let argument = argument.to_string_lossy().into_owned();
            let value = argument.strip_prefix("--output=").unwrap_or(&argument);
            let is_value = value != argument || ["-o", "--output"].contains(&before.as_str());
            if argument == "--json" || (is_value && is_json(value)) {
                return Self::Json;
            }
            before = argument;
        }
        Self::Text
    }

    /// What is printed of a failure.
    pub fn lines(self, error: &anyhow::Error) -> Vec<String> {
        match self {
            Self::Text => {
                error_lines(error).iter().map(|line| printable(line).into_owned()).collect()
            }
            Self::Json => vec![object(ExitKind::of(error), &error_text(error))],
        }
    }

    /// What is printed of a command line that could not be understood, without the usage.
    pub(super) fn of_usage(error: &clap::Error) -> String {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let text = ["\n\nUsage:", "\n\nFor more information"]
            .iter()
            .fold(text, |text, end| text.split(end).next().unwrap_or(text));
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        object(ExitKind::Usage, &lines.join("\n"))
    }
}

/// Whether a command was asked for JSON. `--output` of some commands names a file.
fn asks_for_json(matches: &ArgMatches) -> bool {
    if matches!(matches.try_get_one::<bool>("json"), Ok(Some(true))) {
        return true;
    }
    let Ok(Some(mut values)) = matches.try_get_raw("output") else { return false };
    matches.value_source("output") == Some(ValueSource::CommandLine)
        && matches.try_get_one::<PathBuf>("output").is_err()
        && values.any(|value| is_json(&value.to_string_lossy()))
}

fn is_json(format: &str) -> bool {
    ["json", "jsonl"].contains(&format)
}

fn object(kind: ExitKind, message: &str) -> String {
    let error = json!({"code": kind.code(), "kind": kind.name(), "message": message});
    visible_json(&json!({ "error": error }).to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_command_line_that_is_wrong_is_seen() {
        let form = |line: &str| FailureForm::of_arguments(line.split(' ').map(OsString::from));
        for line in ["user list --json --wrong", "user list -o jsonl", "user list --output=json"] {
            assert_eq!(form(line), FailureForm::Json, "{line}");
        }
        for line in ["user list", "user show json", "user list -o table", "user list --output=csv"]
        {
            assert_eq!(form(line), FailureForm::Text, "{line}");
        }
    }
}
