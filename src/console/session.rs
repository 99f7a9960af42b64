//! Sessions: who is signed in, in memory alone.
//!
//! A session is found by the digest of the token in its cookie. Signing in always makes a new one. It ends after a
//! time without a request, after its lifetime, by signing out, or with the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::form::Fields;
use crate::clock::Stopwatch;
use crate::operator::{Identity, IdentitySource};
use crate::secret::Secret;

/// The number of sessions at once. One more ends the one that was used least recently.
pub(super) const MAX_SESSIONS: usize = 256;
/// The number of sessions of one operator at once.
pub(super) const MAX_OF_OPERATOR: usize = 16;
/// How long after signing in an operator may do what needs a recent sign-in.
pub(super) const RECENT: Duration = Duration::from_secs(5 * 60);

/// The cookie of a session, and what it is set with.
pub(super) const SESSION_COOKIE: &str = "__Host-scimd";
pub(super) const COOKIE_ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// The number of random bytes in a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// The SHA-256 digest of a token.
pub(super) type SecretDigest = [u8; 32];

/// A new random token, for a cookie, a link or a form.
///
/// # Errors
///
/// The operating system gives no random numbers.
pub(super) fn new_token() -> Result<Secret, String> {
    let mut bytes = [0; TOKEN_BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(Secret::new(BASE64URL_NOPAD.encode(&bytes)))
}

/// The digest of a token that was presented.
pub(super) fn digest(token: &str) -> SecretDigest {
    Sha256::digest(token).into()
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLimits {
    pub(super) idle_timeout: Duration,
    pub(super) lifetime: Duration,
}

/// The sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<SecretDigest, Session>>);

struct Session {
    identity: Identity,
    csrf: Secret,
    signed_in: Stopwatch,
    is_fresh: bool,
    used: Stopwatch,
    notice: Option<String>,
    return_to: Option<String>,
    kept: Option<KeptForm>,
}

/// What was entered on a page before the operator had to sign in again.
pub(super) struct KeptForm {
    /// The path of the page.
    pub(super) page: String,
    pub(super) fields: Fields,
}

/// What a session leaves to the one after it.
#[derive(Default)]
pub(super) struct ClosedSession {
    /// The page to which its operator wanted to return after signing in again.
    pub(super) return_to: Option<String>,
    pub(super) kept: Option<KeptForm>,
}

/// A session as a request sees it.
#[derive(Clone)]
pub(super) struct SessionView {
    pub(super) digest: SecretDigest,
    pub(super) identity: Identity,
    /// The token that its forms carry.
    pub(super) csrf: String,
    /// Whether the operator signed in recently.
    pub(super) is_recent: bool,
}

impl Sessions {
    /// Opens a session; the token for its cookie.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    #[cfg(test)]
    pub(super) fn open(&self, identity: Identity) -> Result<Secret, String> {
        self.open_with(identity, true)
    }

    /// Opens a session; the token for its cookie. Without `is_fresh`, the operator has to sign in again before what
    /// needs a recent sign-in.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(super) fn open_with(&self, identity: Identity, is_fresh: bool) -> Result<Secret, String> {
        let (token, csrf) = (new_token()?, new_token()?);
        let mut sessions = self.lock();
        let of_operator = sessions.values().filter(|other| other.identity.name == identity.name);
        if of_operator.count() >= MAX_OF_OPERATOR {
            end_oldest(&mut sessions, |other| other.identity.name == identity.name);
        }
        if sessions.len() >= MAX_SESSIONS {
            end_oldest(&mut sessions, |_| true);
        }
        let now = Stopwatch::start();
        let session = Session {
            identity,
            csrf,
            signed_in: now,
            is_fresh,
            used: now,
            notice: None,
            return_to: None,
            kept: None,
        };
        sessions.insert(digest(token.expose()), session);
        Ok(token)
    }

    /// The session of a token, unless it has ended; `extends` marks it as used.
    pub(super) fn find(
        &self,
        token: &str,
        limits: SessionLimits,
        extends: bool,
    ) -> Option<SessionView> {
        let mut sessions = self.lock();
        sessions.retain(|_, session| {
            session.used.elapsed() < limits.idle_timeout
                && session.signed_in.elapsed() < limits.lifetime
        });
        let digest = digest(token);
        let session = sessions.get_mut(&digest)?;
        if extends {
            session.used = Stopwatch::start();
        }
        Some(SessionView {
            digest,
            identity: session.identity.clone(),
            csrf: session.csrf.expose().to_owned(),
            is_recent: session.is_fresh && session.signed_in.elapsed() < RECENT,
        })
    }

    /// Whose session it is; `None` once it has ended.
    pub(super) fn identity(&self, digest: &SecretDigest) -> Option<Identity> {
        self.lock().get(digest).map(|session| session.identity.clone())
    }

    /// Ends a session.
    pub(super) fn close(&self, digest: &SecretDigest) -> ClosedSession {
        let closed = self.lock().remove(digest);
        closed.map_or_else(ClosedSession::default, |session| ClosedSession {
            return_to: session.return_to,
            kept: session.kept,
        })
    }

    /// Keeps what was entered on a page; what was kept before is forgotten.
    pub(super) fn keep(&self, digest: &SecretDigest, form: Option<KeptForm>) {
        if let Some(session) = self.lock().get_mut(digest) {
            session.kept = form;
        }
    }

    /// Takes what was entered on a page.
    pub(super) fn take_kept(&self, digest: &SecretDigest, page: &str) -> Option<Fields> {
        let mut sessions = self.lock();
        let kept = &mut sessions.get_mut(digest)?.kept;
        kept.take_if(|kept| kept.page == page).map(|kept| kept.fields)
    }

    /// Ends the sessions of all who have signed in at a provider.
    pub(super) fn close_all_of_providers(&self) {
        let is_other =
            |session: &Session| !matches!(session.identity.source, IdentitySource::Provider { .. });
        self.lock().retain(|_, session| is_other(session));
    }

    /// Notes the page to which an operator returns after signing in again.
    pub(super) fn set_return(&self, digest: &SecretDigest, page: String) {
        if let Some(session) = self.lock().get_mut(digest) {
            session.return_to = Some(page);
        }
    }

    /// Leaves a sentence for the next page of a session.
    pub(super) fn leave_notice(&self, digest: &SecretDigest, notice: String) {
        if let Some(session) = self.lock().get_mut(digest) {
            session.notice = Some(notice);
        }
    }

    /// Takes the sentence that was left for the next page.
    pub(super) fn take_notice(&self, digest: &SecretDigest) -> Option<String> {
        self.lock().get_mut(digest)?.notice.take()
    }

    /// No step between lock and unlock can panic, so a poisoned table is still right.
    fn lock(&self) -> MutexGuard<'_, HashMap<SecretDigest, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the session that was used least recently, of those that a condition names.
fn end_oldest(sessions: &mut HashMap<SecretDigest, Session>, which: impl Fn(&Session) -> bool) {
    let candidates = sessions.iter().filter(|(_, session)| which(session));
    let oldest = candidates.min_by_key(|(_, session)| session.used);
    if let Some(digest) = oldest.map(|(digest, _)| *digest) {
        sessions.remove(&digest);
    }
}

/// Whether a token is the expected one, in constant time.
pub(super) fn is_same(presented: &str, expected: &str) -> bool {
    !expected.is_empty() && presented.as_bytes().ct_eq(expected.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::OperatorRole;

    const LONG: SessionLimits = SessionLimits {
        idle_timeout: Duration::from_secs(900),
        lifetime: Duration::from_secs(43_200),
    };

    fn identity(name: &str) -> Identity {
        Identity::of_host(name.to_owned(), OperatorRole::Viewer)
    }

    #[test]
    fn a_session_is_found_by_its_token_until_it_is_closed() {
        let sessions = Sessions::default();
        let (one, other) =
            (sessions.open(identity("a")).unwrap(), sessions.open(identity("b")).unwrap());
        let found = sessions.find(one.expose(), LONG, true).unwrap();
        assert!(found.identity == identity("a") && found.is_recent);
        assert_ne!(found.csrf, sessions.find(other.expose(), LONG, true).unwrap().csrf);
        assert_eq!(one.expose().len(), 43, "256 bits");
        assert!(
            sessions.find("x", LONG, true).is_none() && sessions.find("", LONG, true).is_none()
        );
        sessions.close(&found.digest);
        assert!(sessions.find(one.expose(), LONG, true).is_none());
        assert!(sessions.find(other.expose(), LONG, true).is_some());
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let sessions = Sessions::default();
        let token = sessions.open(identity("a")).unwrap();
        let ended = SessionLimits { idle_timeout: Duration::ZERO, ..LONG };
        assert!(sessions.find(token.expose(), ended, true).is_none());
        assert!(sessions.find(token.expose(), LONG, true).is_none(), "it stays ended");
        let token = sessions.open(identity("a")).unwrap();
        let ended = SessionLimits { lifetime: Duration::ZERO, ..LONG };
        assert!(sessions.find(token.expose(), ended, true).is_none());
    }

    #[test]
    fn a_sign_in_is_recent_for_five_minutes_however_much_the_session_is_used() {
        let sessions = Sessions::default();
        let token = sessions.open(identity("a")).unwrap();
        let aged = |seconds| {
            let mut all = sessions.lock();
            let session = all.values_mut().next().unwrap();
            session.signed_in = Stopwatch::start().earlier(Duration::from_secs(seconds));
            session.used = Stopwatch::start();
            drop(all);
            sessions.find(token.expose(), LONG, true).unwrap().is_recent
        };
        assert!(aged(0) && aged(4 * 60 + 59));
        assert!(!aged(5 * 60) && !aged(5 * 60 + 1) && !aged(11 * 60 * 60));
        let unproved = sessions.open_with(identity("b"), false).unwrap();
        assert!(!sessions.find(unproved.expose(), LONG, true).unwrap().is_recent);
    }

    #[test]
    fn a_live_view_does_not_extend_a_session() {
        let sessions = Sessions::default();
        let token = sessions.open(identity("a")).unwrap();
        let used = || sessions.lock().values().next().unwrap().used.elapsed();
        std::thread::sleep(Duration::from_millis(20));
        sessions.find(token.expose(), LONG, false).unwrap();
        assert!(used() >= Duration::from_millis(20));
        sessions.find(token.expose(), LONG, true).unwrap();
        assert!(used() < Duration::from_millis(20));
    }

    #[test]
    fn the_least_recently_used_session_makes_room() {
        let sessions = Sessions::default();
        let first = sessions.open(identity("a")).unwrap();
        let tokens: Vec<Secret> =
            (1..MAX_OF_OPERATOR).map(|_| sessions.open(identity("a")).unwrap()).collect();
        assert!(sessions.find(first.expose(), LONG, true).is_some());
        sessions.open(identity("a")).unwrap();
        assert!(sessions.find(tokens[0].expose(), LONG, false).is_none(), "the oldest one");
        assert!(sessions.find(first.expose(), LONG, false).is_some(), "used since");
        for number in 0..MAX_SESSIONS {
            sessions.open(identity(&number.to_string())).unwrap();
        }
        assert_eq!(sessions.lock().len(), MAX_SESSIONS);
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(is_same("abc", "abc"));
        for (presented, expected) in
            [("", ""), ("abc", ""), ("ab", "abc"), ("abd", "abc"), ("", "a")]
        {
            assert!(!is_same(presented, expected), "{presented:?} {expected:?}");
        }
    }
}
