//! Connections: from adding an identity provider to its first requests.
//!
//! | file | contents |
//! | --- | --- |
//! | `settings_form` | the settings of a connection as a form |
//! | `arrivals` | what has arrived of a connection, and what was seen of it |
//! | `pages` | the list and the page of a connection |
//! | `actions` | saving, tokens, OAuth clients, removal |

mod actions;
mod arrivals;
mod pages;
mod settings_form;

pub(super) use actions::{
    add, add_with_token, generate_client, generate_token, remove, revoke_client, revoke_token, save,
};
pub(super) use pages::{list, new, show};
