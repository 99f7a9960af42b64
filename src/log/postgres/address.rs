//! The URL of a database, as an operator writes it.

use std::path::{Path, PathBuf};

/// A database URL, taken apart as far as TLS is concerned.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A URL for each server, without what is below.
    pub(super) urls: Vec<String>,
    /// Whether the connection is TLS with a certificate that is checked; `None` if the URL leaves it open.
    pub(super) tls: Option<bool>,
    /// The file with the authorities to trust, if not those of this machine.
    pub(super) ca_file: Option<PathBuf>,
}

impl Address {
    /// Reads a URL; a relative `sslrootcert` is relative to `base`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is expected. It never repeats the URL, which may hold a password.
    pub(super) fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let text = text.trim();
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        if !is_url || text.contains(char::is_whitespace) {
            return Err("expected one URL such as postgres://scimd:PASSWORD@db.example.com/scimd"
                .to_owned());
        }
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut tls, mut ca_file) = (None, None);
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("sslmode", "verify-full") => tls = Some(true),
                ("sslmode", "disable") => tls = Some(false),
                ("sslmode", _) => {
                    return Err(
                        "sslmode must be verify-full, or disable for a server on this machine"
                            .to_owned(),
                    );
                }
                ("sslrootcert", file) => ca_file = Some(base.join(file)),
                (name, value) => {
                    rest.append_pair(name, value);
                }
            }
        }
        let rest = rest.finish();
        let query = if rest.is_empty() { rest } else { format!("?{rest}") };
        // One after the other: a server that hangs must not use up the time for the next.
        let (scheme, rest) = before.split_once("://").unwrap_or((before, ""));
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let url = |host| format!("{scheme}://{user}{host}{path}{query}");
        Ok(Self { urls: hosts.split(',').map(url).collect(), tls, ca_file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_tls_is_taken_out_of_the_url() {
        let base = Path::new("/etc/scimd");
        let parse = |text: &str| Address::parse(text, base);
        let plain = parse(" postgres://scimd@db/scimd\n").unwrap();
        assert_eq!((plain.urls, plain.tls), (vec!["postgres://scimd@db/scimd".to_owned()], None));
        let text = "postgresql://u:p@a:1,b/d?sslmode=verify-full&options=x&sslrootcert=ca.pem";
        let full = parse(text).unwrap();
        let urls = ["postgresql://u:p@a:1/d?options=x", "postgresql://u:p@b/d?options=x"];
        assert_eq!(full.urls, urls);
        assert_eq!((full.tls, full.ca_file), (Some(true), Some(base.join("ca.pem"))));
        assert_eq!(parse("postgres://u@/d?sslmode=disable").unwrap().tls, Some(false));
        for wrong in ["", "host=db", "mysql://db", "postgres://a b", "postgres://db?sslmode=prefer"]
        {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains("postgres://") || error.contains("verify-full"), "{error}");
        }
    }
}
