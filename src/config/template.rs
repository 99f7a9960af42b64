//! The file that `scimd init` writes: the example with the operator's values.

use crate::connection::{ConnectionMethod, PublicUrl};

/// A configuration with every key, its default and a comment.
pub const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The width of a setting before its comment, in characters, as in the example.
const COMMENT_COLUMN: usize = 38;

/// The port to listen on where the public URL names none, or one that needs a privilege.
const PORT: u16 = 8443;
/// The first port that needs no privilege.
const FIRST_FREE_PORT: u16 = 1024;
/// The name of the connection in the example.
const DEFAULT_NAME: &str = "default";

/// The operator's values. The example's value stays for each that is not given.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// The data directory.
    pub data_dir: Option<String>,
    /// The connection's name.
    pub name: Option<String>,
    /// The address and port to listen on.
    pub listen: Option<String>,
    /// The connection's method.
    pub method: Option<String>,
    /// The connection's default workspace, which is also the name of the first workspace.
    pub default_workspace: Option<String>,
    /// The required value of `X-Request-Origin`.
    pub service_origin: Option<String>,
    /// The addresses that requests may come from, separated by commas.
    pub ip_allowlist: Option<String>,
    /// The URL under which clients reach scimd.
    pub public_url: Option<String>,
}

/// The change to a line of the example.
enum Change {
    Keep,
    Set(String),
    CommentOut,
}

/// Writes a commented configuration file.
///
/// The identity providers behind the methods other than `custom` send no
/// `X-Request-Origin` and never come from this machine, so without given values
/// those two lines are commented out. A public URL that names another machine opens
/// the listener to every interface.
///
/// Values are not checked here: each is written as one TOML string, and
/// [`Config::parse`](super::Config::parse) on the result reports the problems.
pub fn render(options: &InitOptions) -> String {
    let name = connection_name(options);
    let mut table = "";
    let mut rendered = String::with_capacity(EXAMPLE.len() + 256);
    for line in EXAMPLE.lines() {
        if line.starts_with('[') {
            table = before_comment(line);
            if table.starts_with("[connections.default") {
                let named = table.replace(DEFAULT_NAME, &key(&name));
                rendered.push_str(&replaced(line, &named));
                rendered.push('\n');
                continue;
            }
        }
        let setting = line.split_once(" = ").map_or("", |(key, _)| key);
        match change(options, table, setting) {
            Change::Keep => rendered.push_str(line),
            Change::Set(value) => {
                rendered.push_str(&replaced(line, &format!("{setting} = {}", quoted(&value))));
            }
            Change::CommentOut => {
                rendered.push_str(&replaced(line, &format!("# {}", before_comment(line))));
            }
        }
        rendered.push('\n');
    }
    rendered
}

fn change(options: &InitOptions, table: &str, key: &str) -> Change {
    let given = match (table, key) {
        ("", "public_url") => &options.public_url,
        ("", "data_dir") => &options.data_dir,
        ("[listen]", "address") => &listen_address(options),
        ("[connections.default]", "method") => &options.method,
        ("[connections.default]", "default_workspace") | ("[[workspaces]]", "name") => {
            &options.default_workspace
        }
        ("[connections.default]", "service_origin") => &options.service_origin,
        ("[connections.default]", "ip_allowlist") => &options.ip_allowlist,
        _ => return Change::Keep,
    };
    match given {
        Some(value) => Change::Set(value.clone()),
        None if matches!(key, "service_origin" | "ip_allowlist") && comes_from_outside(options) => {
            Change::CommentOut
        }
        None => Change::Keep,
    }
}

/// The name of the connection that is written: the given one, or else the method's.
pub fn connection_name(options: &InitOptions) -> String {
    let name = options.name.clone().or_else(|| options.method.clone());
    name.unwrap_or_else(|| DEFAULT_NAME.to_owned())
}

/// Returns the address to listen on, if the operator or the public URL requires another than the example's.
fn listen_address(options: &InitOptions) -> Option<String> {
    if options.listen.is_some() {
        return options.listen.clone();
    }
    let url: PublicUrl = options.public_url.as_ref()?.parse().ok()?;
    let port = url.port().filter(|port| *port >= FIRST_FREE_PORT).unwrap_or(PORT);
    (!url.is_loopback()).then(|| format!("0.0.0.0:{port}"))
}

fn comes_from_outside(options: &InitOptions) -> bool {
    let method: Option<ConnectionMethod> =
        options.method.as_ref().and_then(|method| method.parse().ok());
    match method {
        Some(
            ConnectionMethod::Okta
            | ConnectionMethod::OktaCustom
            | ConnectionMethod::Entra
            | ConnectionMethod::Generic,
        ) => true,
        Some(ConnectionMethod::Custom) | None => false,
    }
}

/// Replaces the setting before the comment of a line.
fn replaced(line: &str, setting: &str) -> String {
    match line.split_once(" # ") {
        Some((_, comment)) => format!("{setting:<COMMENT_COLUMN$} # {comment}"),
        None => setting.to_owned(),
    }
}

fn before_comment(line: &str) -> &str {
    line.split_once(" # ").map_or(line, |(before, _)| before).trim_end()
}

/// A key: as it is, if it may be written so.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A TOML basic string, on one line whatever it holds.
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new("config.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn nothing_given_is_the_example() {
        assert_eq!(render(&InitOptions::default()), EXAMPLE);
    }

    #[test]
    fn every_value_arrives() {
        let text = render(&InitOptions {
            data_dir: some("/var/lib/scimd"),
            name: None,
            listen: None,
            method: some("custom"),
            default_workspace: some("Sales & \"Söhne\" \\ # 1"),
            service_origin: some("https://app.example.com:8080"),
            ip_allowlist: some("192.0.2.0/24, 2001:db8::1"),
            public_url: some("https://scim.example.com:9443/idp"),
        });
        let config = parse(&text);
        assert_eq!(config.data_dir, Path::new("/var/lib/scimd"));
        let connection = &config.connections["custom"];
        assert_eq!(connection.default_workspace, "Sales & \"Söhne\" \\ # 1");
        assert_eq!(config.workspaces[0].name, connection.default_workspace);
        assert_eq!(
            connection.service_origin.as_ref().unwrap().to_string(),
            "https://app.example.com:8080"
        );
        assert_eq!(
            connection.ip_allowlist.as_ref().unwrap().to_string(),
            "192.0.2.0/24, 2001:db8::1"
        );
        assert_eq!(config.public_url.as_str(), "https://scim.example.com:9443/idp");
        assert_eq!(config.listen.address.to_string(), "0.0.0.0:9443");
        let comments = |text: &str| text.lines().filter(|line| line.contains(" # ")).count();
        assert_eq!(comments(&text), comments(EXAMPLE), "{text}");
    }

    #[test]
    fn providers_from_outside_lose_the_local_defaults() {
        for method in ["okta", "okta-custom", "entra", "generic"] {
            let mut options = InitOptions { method: some(method), ..InitOptions::default() };
            let config = parse(&render(&options));
            let connection = &config.connections[method];
            assert_eq!(connection.method.as_str(), method);
            assert!(connection.service_origin.is_none() && connection.ip_allowlist.is_none());
            options.ip_allowlist = some("192.0.2.1");
            let config = parse(&render(&options));
            assert!(config.connections[method].ip_allowlist.is_some());
        }
    }

    #[test]
    fn the_listener_follows_the_public_url() {
        for (url, address) in [
            ("https://scim.example.com", "0.0.0.0:8443"),
            ("https://scim.example.com:443/", "0.0.0.0:8443"),
            ("https://scim.example.com:9443/", "0.0.0.0:9443"),
            ("https://localhost", "127.0.0.1:8443"),
            ("https://[::1]:8443", "127.0.0.1:8443"),
        ] {
            let options = InitOptions { public_url: some(url), ..InitOptions::default() };
            assert_eq!(parse(&render(&options)).listen.address.to_string(), address, "{url}");
        }
    }

    #[test]
    fn hostile_values_stay_inside_their_string() {
        for value in
            ["\"\n[evil]\nx = \"", "'''", "\\", "\u{7f}\0\r\n\t", "\"\"\"", "\\u0022", "${x}"]
        {
            let options = InitOptions {
                data_dir: some(value),
                name: some(value),
                listen: some(value),
                method: some(value),
                default_workspace: some(value),
                service_origin: some(value),
                ip_allowlist: some(value),
                public_url: some(value),
            };
            let text = render(&options);
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(table["public_url"].as_str(), Some(value));
            assert_eq!(table["data_dir"].as_str(), Some(value));
            assert_eq!(table["workspaces"][0]["name"].as_str(), Some(value));
            for key in ["method", "default_workspace", "service_origin", "ip_allowlist"] {
                assert_eq!(table["connections"][value][key].as_str(), Some(value), "{key}");
            }
            assert!(!table.contains_key("evil"));
        }
    }
}
