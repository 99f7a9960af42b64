//! What a server shows: everything, by every way that leads to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::client::{Client, version};
use crate::finding::{Finding, Harm};
use crate::history::Expectation;
use crate::model::{address, external_id, group_name, title};
use crate::random::Random;

/// How many comparisons one filter may have.
const TERMS: usize = 60;

/// What a server shows.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Users by name.
    pub(crate) users: BTreeMap<String, SeenUser>,
    /// Groups by external id.
    pub(crate) groups: BTreeMap<String, SeenGroup>,
    /// Whether each token that was tried opens anything, by id.
    pub(crate) tokens: BTreeMap<String, bool>,
    /// What contradicts itself.
    pub(crate) findings: Vec<Finding>,
}

/// A user as it is shown.
#[derive(Debug)]
pub(crate) struct SeenUser {
    /// Its id.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: u64,
    /// The change that wrote all of its texts; or texts of several.
    pub(crate) number: Result<u64, String>,
    /// Whether it may be used.
    pub(crate) active: bool,
    /// The groups that it says it is in: names by id.
    groups: BTreeMap<String, String>,
}

/// A group as it is shown.
#[derive(Debug)]
pub(crate) struct SeenGroup {
    /// Its id.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: u64,
    /// The change that wrote its name.
    pub(crate) number: Result<u64, String>,
    /// The names of its members; an id if that belongs to nobody.
    pub(crate) members: BTreeSet<String>,
    /// The members as they are listed: displays by id.
    listed: BTreeMap<String, String>,
}

impl Seen {
    /// Looks at everything. `random` chooses what is looked at one by one.
    ///
    /// An error if the server did not answer as it does when all is well.
    pub(crate) fn look(
        client: &Client,
        expected: &[Expectation],
        random: &mut Random,
    ) -> Result<Self, String> {
        let mut seen = Self::default();
        seen.list(client)?;
        seen.check_both_ends();
        seen.check_indexes(client)?;
        seen.check_what_is_gone(client, expected, random)?;
        seen.try_tokens(client, expected, random)?;
        Ok(seen)
    }

    fn inconsistent(&mut self, text: String) {
        self.findings.push(Finding::new(Harm::Inconsistent, text));
    }

    fn list(&mut self, client: &Client) -> Result<(), String> {
        for resource in self.all(client, "Users")? {
            let name = text(&resource, "/userName");
            if self.users.insert(name.clone(), SeenUser::read(&resource)).is_some() {
                self.inconsistent(format!("there are two users {name}"));
            }
        }
        let names: BTreeMap<&String, &String> =
            self.users.iter().map(|(name, user)| (&user.id, name)).collect();
        let mut groups = BTreeMap::new();
        let mut twice = Vec::new();
        for resource in self.all(client, "Groups")? {
            let name = text(&resource, "/externalId");
            let mut group = SeenGroup::read(&resource);
            let member = |id: &String| names.get(id).map_or(id, |name| *name).clone();
            group.members = group.listed.keys().map(member).collect();
            if groups.insert(name.clone(), group).is_some() {
                twice.push(name);
            }
        }
        self.groups = groups;
        for name in twice {
            self.inconsistent(format!("there are two groups {name}"));
        }
        Ok(())
    }

    fn all(&self, client: &Client, endpoint: &str) -> Result<Vec<Value>, String> {
        let reply = client.get(&format!("/{endpoint}?count=1000"))?;
        if reply.status != 200 {
            return Err(format!(
                "GET /{endpoint} was answered with {}: {}",
                reply.status, reply.body
            ));
        }
        let resources = reply.body["Resources"].as_array().cloned().unwrap_or_default();
        if reply.body["totalResults"] != resources.len() {
            return Err(format!(
                "{endpoint}: totalResults is {}, and there are {}",
                reply.body["totalResults"],
                resources.len()
            ));
        }
        Ok(resources)
    }

    /// A membership has two ends, and each shows the other's name.
    fn check_both_ends(&mut self) {
        let mut findings = Vec::new();
        for (name, user) in &self.users {
            for (id, display) in &user.groups {
                let group = self.groups.iter().find(|(_, group)| group.id == *id);
                match group {
                    None => findings.push(format!("{name} says it is in {id}, which is not there")),
                    Some((group, seen)) => {
                        if !seen.listed.contains_key(&user.id) {
                            findings.push(format!(
                                "{name} says it is in {group}, which does not list it"
                            ));
                        }
                        if seen
                            .number
                            .as_ref()
                            .is_ok_and(|number| group_name(group, *number) != *display)
                        {
                            findings.push(format!("{name} calls its group {group} {display:?}"));
                        }
                    }
                }
            }
        }
        for (name, group) in &self.groups {
            for (id, display) in &group.listed {
                match self.users.values().find(|user| user.id == *id) {
                    None => findings.push(format!("{name} lists {id}, who is not there")),
                    Some(user) => {
                        if !user.groups.contains_key(&group.id) {
                            findings.push(format!("{name} lists {id}, who does not say so"));
                        }
                        if user.number.as_ref().is_ok_and(|number| number.to_string() != *display) {
                            findings.push(format!("{name} calls its member {id} {display:?}"));
                        }
                    }
                }
            }
        }
        findings.into_iter().for_each(|text| self.inconsistent(text));
    }

    /// Every resource is found by each indexed value that it has.
    fn check_indexes(&mut self, client: &Client) -> Result<(), String> {
        let numbered =
            || self.users.values().filter_map(|user| Some((user.number.as_ref().ok()?, &user.id)));
        let named = self.users.iter().map(|(name, user)| (name.clone(), &user.id));
        let external = numbered().map(|(number, id)| (external_id(*number), id));
        let addresses = numbered().map(|(number, id)| (address(*number), id));
        let groups = self.groups.iter().map(|(name, group)| (name.clone(), &group.id));
        let lookups = [
            ("Users", "userName", named.collect::<Vec<_>>()),
            ("Users", "externalId", external.collect()),
            ("Users", "emails.value", addresses.collect()),
            ("Groups", "externalId", groups.collect()),
        ];
        let mut wrong = Vec::new();
        for (endpoint, attribute, values) in lookups {
            for some in values.chunks(TERMS) {
                let terms: Vec<String> =
                    some.iter().map(|(value, _)| format!("{attribute} eq \"{value}\"")).collect();
                let found = found(client, endpoint, &terms.join(" or "))?;
                let there: BTreeSet<String> = some.iter().map(|(_, id)| (*id).clone()).collect();
                if found != there {
                    let missing: Vec<&String> = there.symmetric_difference(&found).collect();
                    wrong.push(format!(
                        "by {attribute}, {endpoint} differ from the list: {missing:?}"
                    ));
                }
            }
        }
        wrong.into_iter().for_each(|text| self.inconsistent(text));
        Ok(())
    }

    /// What was deleted or replaced is found by nothing that it had; one by one, because only so is an
    /// index entry believed without looking at the resource.
    fn check_what_is_gone(
        &mut self,
        client: &Client,
        expected: &[Expectation],
        random: &mut Random,
    ) -> Result<(), String> {
        let listed: BTreeSet<&String> = (self.users.values().map(|user| &user.id))
            .chain(self.groups.values().map(|group| &group.id))
            .collect();
        let mut findings = Vec::new();
        for expectation in expected {
            let model = &expectation.model;
            let last = model.gone.last().into_iter();
            for id in last.chain(random.pick(&model.gone)).filter(|id| !listed.contains(*id)) {
                for endpoint in ["Users", "Groups"] {
                    let status = client.get(&format!("/{endpoint}/{id}"))?.status;
                    if status != 404 {
                        let text =
                            format!("{endpoint}/{id} was deleted and is answered with {status}");
                        findings.push(Finding::new(Harm::CameBack, text));
                    }
                }
            }
            let current = |number: &u64| self.users.values().any(|user| user.number == Ok(*number));
            let last = model.stale.last().into_iter();
            for number in last.chain(random.pick(&model.stale)).filter(|number| !current(number)) {
                let by_id = format!("externalId eq \"{}\"", external_id(*number));
                let by_address = format!("emails.value eq \"{}\"", address(*number));
                for filter in [by_id, by_address] {
                    if !found(client, "Users", &filter)?.is_empty() {
                        let text = format!("{filter} finds what no longer has it");
                        findings.push(Finding::new(Harm::Inconsistent, text));
                    }
                }
            }
        }
        self.findings.append(&mut findings);
        Ok(())
    }

    fn try_tokens(
        &mut self,
        client: &Client,
        expected: &[Expectation],
        random: &mut Random,
    ) -> Result<(), String> {
        for expectation in expected {
            let tokens: Vec<_> = expectation.model.tokens.iter().collect();
            let recent = tokens.len().saturating_sub(4);
            let old = random.pick(tokens.get(..recent).unwrap_or_default());
            let pending = tokens.iter().filter(|(_, token)| !token.revoked);
            let tried = tokens.iter().skip(recent).chain(old).chain(pending);
            for (id, token) in tried {
                let reply = client.with_token(&token.secret).get("/Users?count=0")?;
                let accepted = match reply.status {
                    200 => true,
                    401 => false,
                    other => return Err(format!("token {id} was answered with {other}")),
                };
                self.tokens.insert((*id).clone(), accepted);
            }
        }
        Ok(())
    }
}

fn found(client: &Client, endpoint: &str, filter: &str) -> Result<BTreeSet<String>, String> {
    let reply = client.search(endpoint, filter)?;
    if reply.status != 200 {
        return Err(format!("{filter} was answered with {}: {}", reply.status, reply.body));
    }
    let resources = reply.body["Resources"].as_array().cloned().unwrap_or_default();
    Ok(resources.iter().map(|resource| text(resource, "/id")).collect())
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The elements of a list of references: displays by id.
fn references(resource: &Value, attribute: &str) -> BTreeMap<String, String> {
    let all = resource[attribute].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|one| (text(one, "/value"), text(one, "/display"))).collect()
}

impl SeenUser {
    fn read(resource: &Value) -> Self {
        let display = text(resource, "/displayName");
        let number = display.parse().map_err(|_| format!("displayName is {display:?}"));
        let number = number.and_then(|number: u64| {
            let wanted = [
                ("/nickName", number.to_string()),
                ("/externalId", external_id(number)),
                ("/emails/0/value", address(number)),
                ("/title", title(number)),
            ];
            for (pointer, wanted) in wanted {
                let found = text(resource, pointer);
                if found != wanted {
                    let found: String = found.chars().take(40).collect();
                    return Err(format!("displayName is {number}, and {pointer} is {found:?}"));
                }
            }
            Ok(number)
        });
        Self {
            id: text(resource, "/id"),
            version: version(resource),
            number,
            active: resource["active"] != false,
            groups: references(resource, "groups"),
        }
    }
}

impl SeenGroup {
    fn read(resource: &Value) -> Self {
        let (name, display) = (text(resource, "/externalId"), text(resource, "/displayName"));
        let number = display.strip_prefix(&format!("{name} ")).and_then(|rest| rest.parse().ok());
        Self {
            id: text(resource, "/id"),
            version: version(resource),
            number: number.ok_or_else(|| format!("{name} is called {display:?}")),
            members: BTreeSet::new(),
            listed: references(resource, "members"),
        }
    }
}
