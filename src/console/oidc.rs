//! Signing in at an OpenID provider: authorization code with PKCE (RFC 6749, RFC 7636, OpenID Connect Core 1.0).

use askama::Template;
use form_urlencoded::Serializer;
use hyper::StatusCode;

use super::call::ConsoleCall;
use super::page::Layout;
use super::provider::{Flow, LASTS, OIDC_COOKIE};
use super::reply::{ConsoleFailure, ConsoleReply};
use crate::config::OidcConfig;
use crate::connection::PublicUrl;
use crate::credential::{ExpectedIdToken, ProvenUser};
use crate::operator::{Identity, OperatorRole};
use crate::text::excerpt;

/// How long ago an operator who signs in again may have signed in at the provider, in seconds.
const MAX_AGE: i64 = 60;
/// The path that the provider sends browsers back to.
const CALLBACK: &str = "/sign-in/oidc/callback";

/// The page after a sign-in. It is a page and no redirect: a browser that comes from another site sends the cookie of the
/// session only with a request that begins here.
#[derive(Template)]
#[template(path = "signed-in.html")]
struct SignedInPage {
    layout: Layout,
    next: String,
}

/// Why an operator could not sign in at the provider.
struct OidcRefusal {
    status: StatusCode,
    /// For the operator.
    shown: String,
    /// For log and audit log.
    reason: String,
}

pub(super) fn begin(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let settings = call.settings();
    let config = configured(&settings.config.console.oidc)?;
    let oidc = &call.console.oidc;
    let provider = oidc.provider.get(config).map_err(|error| {
        ConsoleFailure::status(
            StatusCode::BAD_GATEWAY,
            format!(
                "the provider can't be used now ({error}); try again, or sign in by `scimd console link`"
            ),
        )
    })?;
    let internal = |error: String| ConsoleFailure::internal(&error);
    let again = call.session.as_ref().map(|session| session.digest);
    let flow = oidc.flows.begin(&call.next, again);
    let flow = flow.map_err(internal)?;
    let redirect_uri = redirect_uri(&settings.config.console.url());
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &config.client_id)
        .append_pair("redirect_uri", &redirect_uri)
        .append_pair("scope", "openid profile email")
        .append_pair("state", &flow.state)
        .append_pair("nonce", &flow.nonce)
        .append_pair("code_challenge", &flow.challenge())
        .append_pair("code_challenge_method", "S256");
    if again.is_some() {
        query.append_pair("max_age", &MAX_AGE.to_string());
    }
    let endpoint = &provider.document.authorization_endpoint;
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    let target = format!("{endpoint}{joint}{}", query.finish());
    let value = oidc.flows.cookie(&flow).map_err(internal)?;
    let cookie = format!(
        "{}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}",
        OIDC_COOKIE,
        LASTS.as_secs()
    );
    Ok(ConsoleReply::redirect(target).with_cookie(cookie))
}

pub(super) fn callback(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let gone = format!("{}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0", OIDC_COOKIE);
    let context = call.operator()?;
    let sign_ins = call.sign_ins(&context)?;
    if let Err(wait) = sign_ins.charge(call.address) {
        let wait = wait.as_secs() + 1;
        let reason = format!("too many attempts failed; try again in {wait} seconds");
        return Err(ConsoleFailure::status(StatusCode::TOO_MANY_REQUESTS, reason));
    }
    match signed_in(call) {
        Ok((identity, flow)) => {
            sign_ins.give_back(call.address);
            let is_recent = flow.again.is_some();
            let (name, role) = (&identity.name, identity.role.as_str());
            let notice = format!("You are signed in as {name} with the role {role}.");
            tracing::info!(operator = name, role, address = %call.address, "signed in to the console");
            sign_ins.note(&context.directory, &identity, "provider", call.address);
            let before = flow.again.as_ref().map(|digest| call.console.sessions.close(digest));
            let kept = before.and_then(|before| before.kept);
            let cookie = call.open_session(identity, is_recent, kept, notice)?;
            // The page is shown without the session, which the browser has not sent.
            let layout = Layout::new(call, "Signed in", "");
            let page = call.page(&SignedInPage { layout, next: flow.next })?;
            Ok(page.with_cookie(cookie).with_cookie(gone))
        }
        Err(refusal) => {
            sign_ins.report_refusal(&context.directory, &refusal.reason, call.address);
            let page = super::sign_in::refused_at_provider(call, refusal.shown)?;
            Ok(page.with_status(refusal.status).with_cookie(gone))
        }
    }
}

/// Checks all that a browser brings back from the provider.
fn signed_in(call: &ConsoleCall) -> Result<(Identity, Flow), OidcRefusal> {
    let settings = call.settings();
    let console = &settings.config.console;
    let refused = |status, shown: &str, reason: String| OidcRefusal {
        status,
        shown: shown.to_owned(),
        reason,
    };
    let Some(config) = &console.oidc else {
        let shown = "no provider is configured; sign in by another way";
        return Err(refused(StatusCode::NOT_FOUND, shown, shown.to_owned()));
    };
    let flow = call.console.oidc.flows.finish(&call.oidc_cookie, call.query.get("state"));
    let flow = flow.ok_or_else(|| {
        refused(
            StatusCode::FORBIDDEN,
            "this sign-in began in another browser, took more than 10 minutes, or was used before; begin again",
            "the state is not that of a sign-in of this browser".to_owned(),
        )
    })?;
    if !call.query.get("error").is_empty() {
        let error = excerpt(call.query.get("error"), 100).to_string();
        let error = error.escape_debug();
        return Err(OidcRefusal {
            status: StatusCode::FORBIDDEN,
            shown: format!(
                "the provider did not sign you in: {error}; begin again, or ask who runs it"
            ),
            reason: format!("the provider answered {error}"),
        });
    }
    let failed = |reason: String| {
        refused(
            StatusCode::FORBIDDEN,
            "what the provider answered could not be accepted; begin again, and see the log of scimd for the reason",
            reason,
        )
    };
    let cache = &call.console.oidc.provider;
    let provider = cache.get(config).map_err(failed)?;
    let issuer = call.query.get("iss");
    let names_issuer = provider.document.authorization_response_iss_parameter_supported;
    if issuer != config.issuer && (names_issuer || !issuer.is_empty()) {
        return Err(failed("iss: the answer is not of this provider".to_owned()));
    }
    let redirect_uri = redirect_uri(&console.url());
    let token = provider.redeem(call.query.get("code"), &redirect_uri, &flow.verifier);
    let token = token.map_err(failed)?;
    let provider = cache.get_for(config, &token).map_err(failed)?;
    let expected = ExpectedIdToken {
        issuer: &config.issuer,
        client_id: &config.client_id,
        nonce: &flow.nonce,
        max_age: flow.again.map(|_| MAX_AGE),
    };
    let now = call.operator().map_err(|_| failed("the operator API is gone".to_owned()))?;
    let now = now.directory.time_for_expiry().as_second();
    let user = token.check(&provider.keys, &expected, &config.role_claim, now).map_err(failed)?;
    let role = config.role_of(&user.groups).ok_or_else(|| no_role(config, &user))?;
    let identity = identity(config, &user, role);
    let before = flow.again.and_then(|digest| call.console.sessions.identity(&digest));
    if let Some(before) = before.filter(|before| before.source != identity.source) {
        return Err(OidcRefusal {
            status: StatusCode::FORBIDDEN,
            shown: format!(
                "the provider signed in another user than {}, whose session this is; sign in again as the same user, or \
                 sign out first",
                before.name
            ),
            reason: format!("{} signed in again in the session of {}", identity.name, before.name),
        });
    }
    Ok((identity, flow))
}

fn no_role(config: &OidcConfig, user: &ProvenUser) -> OidcRefusal {
    OidcRefusal {
        status: StatusCode::FORBIDDEN,
        shown: format!(
            "your account has no role here: the claim {:?} has none of the values that console.oidc.roles lists; ask who \
             runs scimd",
            config.role_claim
        ),
        reason: format!(
            "{}: the claim {:?} gives no role, with {} values",
            shown_name(user),
            config.role_claim,
            user.groups.len()
        ),
    }
}

/// The identity is issuer and subject. The name that the provider sends may be changed by the user, so it never stands
/// alone.
fn identity(config: &OidcConfig, user: &ProvenUser, role: OperatorRole) -> Identity {
    Identity::of_provider(shown_name(user), role, &config.issuer, &user.subject)
}

fn shown_name(user: &ProvenUser) -> String {
    match &user.name {
        Some(name) => format!("{name} (sub {})", user.subject),
        None => format!("sub {}", user.subject),
    }
}

fn configured(oidc: &Option<OidcConfig>) -> Result<&OidcConfig, ConsoleFailure> {
    oidc.as_ref().ok_or_else(|| ConsoleFailure::not_found("there is no such page"))
}

fn redirect_uri(url: &PublicUrl) -> String {
    format!("{}{CALLBACK}", url.as_str().trim_end_matches('/'))
}
