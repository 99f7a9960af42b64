//! The form of a golden file.

use std::collections::BTreeMap;

use scimd::scim::json::parse_object;
use serde::Deserialize;
use serde_json::Value;

/// Headers by name; `null` takes one away that would be sent otherwise.
pub(super) type Headers = BTreeMap<String, Option<String>>;

/// A conversation between a client and a server that has just had its first boot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Golden {
    /// What it is about, in a sentence.
    about: String,
    /// The method of the connection.
    pub(super) method: String,
    /// More lines of the configuration. Those before the first table belong to the connection.
    #[serde(default)]
    config: Vec<String>,
    /// Headers of every request.
    #[serde(default)]
    pub(super) headers: Headers,
    pub(super) steps: Vec<Step>,
}

/// A request and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Why it is sent, where that is not plain to see.
    pub(super) note: Option<String>,
    /// Method, and path with query below the base, as they stand on the wire.
    pub(super) send: String,
    /// Headers of this request.
    #[serde(default)]
    pub(super) headers: Headers,
    /// JSON; or, if it is a text, that text as it stands.
    pub(super) body: Option<Value>,
    /// How often the request is sent; `{n}` counts from 1.
    #[serde(default = "once")]
    pub(super) times: u32,
    pub(super) status: u16,
    /// Headers that the answer has; `null` for one that it has not.
    #[serde(default)]
    pub(super) answer_headers: Headers,
    /// What the answer's body contains.
    pub(super) answer: Option<Value>,
}

fn once() -> u32 {
    1
}

impl Golden {
    /// Reads a file; the error is a clause.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let golden: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        // Of a name that is given twice, the first would count for nothing.
        parse_object(text.as_bytes()).map_err(|error| error.detail)?;
        if !golden.about.trim_end().ends_with('.') {
            return Err("\"about\" is not a sentence".to_owned());
        }
        if golden.steps.is_empty() {
            return Err("\"steps\" is empty".to_owned());
        }
        match golden.steps.iter().position(|step| step.request().is_none() || step.times == 0) {
            Some(at) => Err(format!("step {} sends nothing: METHOD /PATH is expected", at + 1)),
            None => Ok(golden),
        }
    }

    /// The configuration that the server gets.
    pub(super) fn configuration(&self) -> String {
        let origin = if self.asks_origin() { "service_origin = \"localhost\"\n" } else { "" };
        format!(
            "[connections.default]\nmethod = \"{}\"\nip_allowlist = \"127.0.0.0/8\"\n{origin}{}\n",
            self.method,
            self.config.join("\n")
        )
    }

    /// Whether clients get access tokens.
    pub(super) fn signs_in(&self) -> bool {
        self.steps.iter().any(|step| !step.is_below_scim())
    }

    /// Whether clients of this method send X-Request-Origin. Identity providers don't.
    pub(super) fn asks_origin(&self) -> bool {
        self.method == "custom"
    }
}

impl Step {
    /// Method and path.
    pub(super) fn request(&self) -> Option<(&str, &str)> {
        self.send.split_once(' ').filter(|(_, path)| path.starts_with('/'))
    }

    /// Whether its path is below that of SCIM; only the token endpoint is not.
    pub(super) fn is_below_scim(&self) -> bool {
        !self.send.contains(" /oauth2/")
    }

    /// Whether only some attributes are wanted.
    pub(super) fn projects(&self) -> bool {
        let of_body = |name| self.body.as_ref().is_some_and(|body| body.get(name).is_some());
        self.send.to_ascii_lowercase().contains("attributes=")
            || of_body("attributes")
            || of_body("excludedAttributes")
    }
}

#[test]
fn a_file_that_is_not_understood_says_what_is_wrong() {
    let file = |about: &str, step: &str| {
        format!("{{\"about\": \"{about}\", \"method\": \"okta\", \"steps\": [{step}]}}")
    };
    let good = "{\"send\": \"GET /Users\", \"status\": 200}";
    assert!(Golden::parse(&file("It lists.", good)).is_ok());
    for (text, problem) in [
        (file("It lists", good), "\"about\" is not a sentence"),
        (file("It lists.", ""), "\"steps\" is empty"),
        (file("It lists.", "{\"send\": \"/Users\", \"status\": 200}"), "step 1 sends nothing"),
        (file("It lists.", "{\"send\": \"GET /Users\"}"), "missing field `status`"),
        (file("It lists.", &good.replace("send", "sent")), "unknown field `sent`"),
        (file("It lists.", good).replace("method", "methods"), "unknown field `methods`"),
        (file("It lists.", &good.replace('}', ", \"answer\": {\"a\": 1, \"a\": 2}}")), "twice"),
        (file("It lists.", good).replace("200", "\"200\""), "expected u16"),
        (file("It lists.", good).replace('}', ""), "expected `,` or `}`"),
    ] {
        let told = Golden::parse(&text).err().unwrap_or_default();
        assert!(told.contains(problem), "{text}: {told}");
    }
}
