//! A browser: keeps cookies, follows redirects, fills in the hidden fields of forms.

use std::collections::BTreeMap;
use std::net::TcpStream;

use super::{Raw, RawReply, Server};

/// A browser on the console of a server.
pub(crate) struct Browser<'a> {
    server: &'a Server,
    pub(crate) cookies: BTreeMap<String, String>,
    /// More headers of every request.
    pub(crate) headers: Vec<(String, String)>,
    /// What requests name as host.
    pub(crate) host: String,
}

/// A page, or whatever came back.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Page {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Insists on a status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text);
        self
    }

    /// The value of a hidden field, as the page has it first.
    #[track_caller]
    pub(crate) fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) =
            self.text.split_once(&start).unwrap_or_else(|| panic!("no {name}: {}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl<'a> Browser<'a> {
    /// A browser that has not signed in.
    pub(crate) fn new(server: &'a Server) -> Self {
        let host = format!("localhost:{}", server.console_port());
        Self { server, cookies: BTreeMap::new(), headers: Vec::new(), host }
    }

    /// A browser that has signed in with a link that the command printed.
    pub(crate) fn signed_in(server: &'a Server) -> Self {
        let mut browser = Self::new(server);
        let link = server.succeed(&["console", "link"]);
        browser.use_link(link.trim()).expect(303);
        browser
    }

    /// Opens a one-time link and presses its button.
    pub(crate) fn use_link(&mut self, url: &str) -> Page {
        let path = url.split_once("/link/").map(|(_, token)| format!("/link/{token}")).unwrap();
        let page = self.get(&path).expect(200);
        let (csrf, token) = (page.hidden("csrf"), page.hidden("token"));
        self.post("/link", &[("csrf", &csrf), ("token", &token)])
    }

    pub(crate) fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, None)
    }

    /// Sends a form, without its CSRF token unless it is among the fields.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let escaped = |text: &str| -> String {
            let bytes = text.bytes().map(|byte| match byte {
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02x}"),
            });
            bytes.collect()
        };
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        self.send("POST", path, Some(&pairs.join("&")))
    }

    /// Sends a form of a page, with the token that the page has.
    pub(crate) fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.get(page).expect(200).hidden("csrf");
        let mut all = vec![("csrf", csrf.as_str()), ("from", page)];
        all.extend_from_slice(fields);
        self.post(action, &all)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, form: Option<&str>) -> Page {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            text.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        if let Some(form) = form {
            let length = form.len();
            text.push_str(&format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
            ));
        }
        text.push_str("\r\n");
        text.push_str(form.unwrap_or_default());
        let socket = TcpStream::connect(("127.0.0.1", self.server.console_port())).unwrap();
        let mut raw = Raw::over(self.server, socket).unwrap();
        raw.write(text);
        let RawReply { status, head, body } = raw.read(method == "HEAD").unwrap();
        for line in head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            match value.is_empty() {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Page { status, head, text: String::from_utf8(body).unwrap() }
    }
}
