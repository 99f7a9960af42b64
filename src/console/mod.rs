//! The web console: pages for operators, on a listener of its own that always speaks TLS.
//!
//! A request passes, in this order: host (`host`), route (`routes`), session, role and recent sign-in of the row
//! (`service`), form with its CSRF token (`form`), handler. Handlers never check permissions. They ask the operator
//! API and render its replies; every page works without script.
//!
//! | file | contents |
//! | --- | --- |
//! | `service` | a request from head to answer |
//! | `routes` | the route table; finding a row |
//! | `host` | which hosts and origins a request may name |
//! | `session` | sessions in memory, and their cookie |
//! | `link` | one-time links for signing in |
//! | `form` | fields of queries and forms, and their limits |
//! | `state` | what all requests share |
//! | `call` | what a handler gets |
//! | `reply` | answers, with the headers that all of them carry |
//! | `page` | the layout around every page, and how values are shown |
//! | `assets` | stylesheet, script and icon |
//! | `sign_in`, `password` | signing in by a link or by password and one-time code, and signing out |
//! | `oidc`, `provider` | signing in at an OpenID provider; the provider itself |
//! | `account` | the own account: password, one-time codes, sessions |
//! | `operators` | the named operators |
//! | `overview` | the first page |
//! | `connections` | connections: from adding an identity provider to its first requests |
//! | `deactivations` | how far the change feed was searched for deactivations by a connection |
//! | `requests` | the request log |
//! | `resource_list`, `resource_page`, `resource_words`, `timeline` | users and groups: searches, one of them, its history |
//! | `access` | why a user has its access, who has some, what would change |
//! | `brake`, `undo` | what connections took, pausing and resuming, and bringing it back |
//! | `audit`, `verification` | the audit log; checks of its chain |
//! | `events`, `configuration` | the change feed and webhooks; the settings in force |
//! | `asked` | questions to the operator API that may be wrong |

mod access;
mod account;
mod asked;
mod assets;
mod audit;
mod brake;
mod call;
mod configuration;
mod connections;
mod deactivations;
mod events;
mod form;
mod host;
mod link;
mod oidc;
mod operators;
mod overview;
mod page;
mod password;
mod provider;
mod reply;
mod requests;
mod resource_list;
mod resource_page;
mod resource_words;
mod routes;
mod service;
mod session;
mod settings;
mod sign_in;
mod state;
mod timeline;
mod undo;
mod verification;

pub use link::ConsoleLinks;
pub use routes::routes;
pub use service::ConsoleService;
pub use settings::ConsoleSettings;
