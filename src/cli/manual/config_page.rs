//! `scimd.toml(5)`: the manual page of the configuration, from the example that has every key.

use clap_mangen::roff::{Roff, bold, roman};

use crate::config::template::EXAMPLE;

/// The page, but for its title.
pub(super) fn page() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman("scimd.toml - the configuration of scimd")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "The configuration is one TOML file, config.toml, and the files conf.d/*.toml beside it. scimd reads the file that \
         --config or SCIMD_CONFIG names, else config.toml in the working directory, else /etc/scimd/config.toml. Every key may \
         be left out. `scimd config check` checks the file, and `scimd reload` puts it in force.",
    )]);
    roff.control("SH", ["TOP LEVEL"]);
    for line in EXAMPLE.lines() {
        add(&mut roff, line);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("scimd(1), scimd-config-check(1), /usr/share/doc/scimd/docs/")]);
    roff
}

/// Adds a line of the example: a table, a key with its default, or a remark.
fn add(roff: &mut Roff, line: &str) {
    let (setting, comment) = match line.split_once("  # ") {
        Some((setting, comment)) => (setting.trim_end(), comment),
        None => (line, ""),
    };
    let is_optional = setting.starts_with("# ");
    let setting = setting.trim_start_matches("# ");
    // A table that is left out by default is a table of its own here; a remark about tables has no comment.
    let is_table = setting.starts_with('[') && (!is_optional || !comment.is_empty());
    match setting.split_once(" = ") {
        _ if is_table => {
            roff.control("SH", [setting]);
            roff.text([roman(sentence(comment))]);
        }
        Some((key, value)) if is_key(key) => {
            let label = if is_optional { "Example" } else { "Default" };
            roff.control("TP", []).text([bold(key)]);
            roff.text([roman(format!("{} {label}: {value}", sentence(comment)).trim_start())]);
        }
        _ if setting.is_empty() || setting.starts_with("scimd: every key") => {}
        _ => {
            roff.control("PP", []).text([roman(setting)]);
        }
    }
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A comment as a sentence: with a capital at its beginning and a full stop at its end.
fn sentence(comment: &str) -> String {
    let mut characters = comment.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_table_of_the_example_is_on_the_page() {
        let page = page().render();
        let mut count = 0;
        for line in EXAMPLE.lines() {
            let line = line.trim_start_matches("# ");
            if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| is_key(key)) {
                assert!(page.contains(&format!("\n\\fB{key}\\fR\n")), "{key} in {page}");
                count += 1;
            } else if line.starts_with('[') {
                let table = line.split(' ').next().unwrap().trim_end_matches(',');
                assert!(page.contains(table), "{table} in {page}");
            }
        }
        assert!(count > 50, "{count}");
        assert!(page.contains("Default: 800"), "{page}");
        assert!(page.contains(".SH [webhooks.crm]\n"), "{page}");
    }
}
