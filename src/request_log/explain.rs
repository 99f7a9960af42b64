//! A record in words: what came of the request, and what to change so that it succeeds.

use super::entry::RequestEntry;

impl RequestEntry {
    /// The name of the connection or application that sent the request; empty if neither is known.
    pub fn caller(&self) -> &str {
        self.connection.as_deref().or(self.application.as_deref()).unwrap_or_default()
    }

    /// What came of the request, in a few words.
    pub fn result(&self) -> String {
        if let Some(repeated) = self.repeated {
            let reason = self.reason.as_deref().unwrap_or_default();
            let from = self
                .address
                .map_or_else(|| "other addresses".to_owned(), |address| address.to_string());
            return format!(
                "{} more denied within {}s from {from}: {reason}",
                repeated.count, repeated.seconds
            );
        }
        if let Some(reason) = &self.reason {
            return reason.clone();
        }
        if let Some(detail) = &self.detail {
            let scim_type = self.scim_type.as_ref().map(|scim_type| format!("{scim_type}: "));
            return format!("{}{detail}", scim_type.unwrap_or_default());
        }
        let mut parts = Vec::new();
        parts.extend(self.change.map(|change| format!("change {}", change.sequence)));
        parts.extend(self.filter.as_ref().map(|filter| format!("filter {filter}")));
        if !self.ignored.is_empty() {
            parts.push(format!("ignored {}", self.ignored.join(", ")));
        }
        parts.join("; ")
    }

    /// What to change so that the request succeeds, and where; `None` if there is nothing to do.
    pub fn remedy(&self) -> Option<&'static str> {
        if self.reason.is_some() {
            return Some(
                "Correct the token or X-Request-Origin at the client, or ip_allowlist, service_origin or \
                 client_ca of the connection in config.toml. The reason above says which.",
            );
        }
        let scim_type = self.scim_type.as_deref().unwrap_or_default();
        let says = |words: &str| self.detail.as_ref().is_some_and(|detail| detail.contains(words));
        Some(match (self.status, scim_type) {
            (..=399, _) if !self.ignored.is_empty() => {
                "Nothing, if the ignored attributes are not needed. Otherwise add them under [[schemas]] in \
                 config.toml, or remove them from the attribute mapping of the client."
            }
            (..=399, _) => return None,
            (_, "uniqueness") => {
                "Find the resource that has this value with `scimd user list` or `scimd group list`. Match or \
                 rename the resource at the client, or delete the other one."
            }
            (_, "invalidValue") if says("Member \"") => {
                "Assign the user or group that is missing to the application at the identity provider before its group, or \
                 set unknown_members = \"ignore\" for the connection in config.toml and reload scimd."
            }
            (_, "invalidValue") if says(" is required") => {
                "Map the attribute that the detail names at the identity provider, and fill it for this user or group: \
                 the connection needs it in every request of this kind."
            }
            (_, "invalidValue") => {
                "Correct the value in the client's attribute mapping, or add the workspace, role, permission or \
                 attribute that is missing to config.toml and reload scimd."
            }
            (_, "invalidSyntax") if says("The body ") => {
                "The client sent no JSON object: check what stands between it and scimd (a proxy that changes or cuts \
                 bodies), and the body that a client of your own builds. `scimd requests --capture 10m` keeps bodies."
            }
            (_, "invalidSyntax") => {
                "Correct the attribute mapping of the client: it sent a body or an attribute that the schema \
                 does not have."
            }
            (_, "invalidFilter" | "invalidPath" | "noTarget") => {
                "Correct the filter, the path or the matching attribute in the client's provisioning settings."
            }
            (_, "mutability") => {
                "Remove the attribute from the client's mapping: this request may not change it."
            }
            (_, "tooMany") => {
                "Send less in one request, or raise the limit in [limits] of config.toml that the detail names."
            }
            (_, "invalidCursor" | "expiredCursor" | "invalidCount") => {
                "Start the list again from its first page."
            }
            (403, _) => {
                "Check scope and may_grant of the connection in config.toml: they limit what it may change."
            }
            (404, _) => {
                "The client refers to a resource that does not exist, or has a wrong base URL. `scimd setup` \
                 prints the right one; restart the client's provisioning to match resources again."
            }
            (405 | 501, _) => {
                "The client uses a feature that scimd does not offer. Turn it off at the client."
            }
            (408, _) => {
                "The body arrived too slowly. Check the network, and body_timeout in [limits]."
            }
            (412, _) => {
                "Another request changed the resource meanwhile. The client must read it again."
            }
            (413, _) => {
                "Send less in one request, or raise max_body_bytes in [limits] of config.toml."
            }
            (415, _) => "Set the client's content type to application/scim+json.",
            (429, _) => {
                "Raise daily_requests of the connection in config.toml, or have the client send fewer requests."
            }
            (503, _) => {
                "scimd accepts no changes of this connection at the moment. `scimd brake` and the log say why; the \
                 client can retry afterwards."
            }
            (500.., _) => {
                "This is a bug. Search the log for the id of this request, and report it."
            }
            _ => "The detail says what the client sent wrong.",
        })
    }
}
