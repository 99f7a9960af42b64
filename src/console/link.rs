//! One-time links: a URL by which an operator signs in once, within minutes.
//!
//! Opening a link shows a page with a button; only the button uses the link up, so that a program that looks at
//! links in advance does not. Memory holds digests alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::session::{SecretDigest, digest, new_token};
use crate::clock::Stopwatch;
use crate::operator::{ConsoleControl, Identity};

/// The number of links at once. One more takes the place of the oldest.
pub(super) const MAX_LINKS: usize = 64;

/// The one-time links of a console.
pub struct ConsoleLinks {
    url: Mutex<String>,
    links: Mutex<HashMap<SecretDigest, Link>>,
}

struct Link {
    identity: Identity,
    made: Stopwatch,
    valid_for: Duration,
}

impl Link {
    fn is_valid(&self) -> bool {
        self.made.elapsed() < self.valid_for
    }
}

impl ConsoleLinks {
    /// The links of the console at a URL.
    pub fn new(url: String) -> Self {
        Self { url: Mutex::new(url), links: Mutex::default() }
    }

    /// Has later links point to another URL.
    pub(super) fn set_url(&self, url: String) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Who signs in with a link, while it is valid.
    pub(super) fn find(&self, token: &str) -> Option<Identity> {
        let links = self.lock();
        links.get(&digest(token)).filter(|link| link.is_valid()).map(|link| link.identity.clone())
    }

    /// Uses a link up; who signs in with it.
    pub(super) fn consume(&self, token: &str) -> Option<Identity> {
        let link = self.lock().remove(&digest(token))?;
        link.is_valid().then_some(link.identity)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretDigest, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsoleControl for ConsoleLinks {
    fn create_link(&self, identity: Identity, valid_for: Duration) -> Result<String, String> {
        let token = new_token()?;
        let mut links = self.lock();
        links.retain(|_, link| link.is_valid());
        if links.len() >= MAX_LINKS {
            let oldest = links.iter().min_by_key(|(_, link)| link.made);
            if let Some(digest) = oldest.map(|(digest, _)| *digest) {
                links.remove(&digest);
            }
        }
        let link = Link { identity, made: Stopwatch::start(), valid_for };
        links.insert(digest(token.expose()), link);
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(format!("{url}/link/{}", token.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::OperatorRole;

    const MINUTE: Duration = Duration::from_secs(60);

    fn made(links: &ConsoleLinks, name: &str, valid_for: Duration) -> String {
        let identity = Identity::of_host(name.to_owned(), OperatorRole::Admin);
        let url = links.create_link(identity, valid_for).unwrap();
        url.strip_prefix("https://localhost:8444/link/").unwrap().to_owned()
    }

    #[test]
    fn a_link_is_used_up_once_and_not_by_looking_at_it() {
        let links = ConsoleLinks::new("https://localhost:8444".to_owned());
        let token = made(&links, "ada", MINUTE);
        assert_eq!(token.len(), 43, "256 bits");
        assert_eq!(links.find(&token).unwrap().name, "ada");
        assert_eq!(links.find(&token).unwrap().name, "ada");
        assert_eq!(links.consume(&token).unwrap().name, "ada");
        assert!(links.find(&token).is_none() && links.consume(&token).is_none());
        assert!(links.consume("").is_none());
    }

    #[test]
    fn a_link_expires_and_the_oldest_makes_room() {
        let links = ConsoleLinks::new("https://localhost:8444".to_owned());
        let expired = made(&links, "ada", Duration::ZERO);
        assert!(links.find(&expired).is_none() && links.consume(&expired).is_none());
        let first = made(&links, "ada", MINUTE);
        let second = made(&links, "ada", MINUTE);
        for _ in 2..=MAX_LINKS {
            made(&links, "bob", MINUTE);
        }
        assert!(links.find(&first).is_none() && links.find(&second).is_some());
        assert_eq!(links.lock().len(), MAX_LINKS);
    }
}
