//! The OpenID provider at which operators sign in.
//!
//! | file | contents |
//! | --- | --- |
//! | `flow` | a sign-in that is under way, in its cookie |
//! | `endpoint` | discovery, keys, and codes redeemed |

mod endpoint;
mod flow;

use self::endpoint::ProviderCache;
use self::flow::OidcFlows;
pub(super) use self::flow::{Flow, LASTS, OIDC_COOKIE};

/// What signing in at a provider needs in memory.
#[derive(Default)]
pub(super) struct OidcState {
    pub(super) flows: OidcFlows,
    pub(super) provider: ProviderCache,
}

impl OidcState {
    /// Forgets what the last attempt to reach the provider came to: another configuration may do better.
    pub(super) fn forget(&self) {
        self.provider.forget_failure();
    }
}
