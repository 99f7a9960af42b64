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
//! | `account` | the own account: password, one-time codes, sessions |
//! | `operators` | the named operators |
//! | `overview` | the first page |

mod account;
mod assets;
mod call;
mod form;
mod host;
mod link;
mod operators;
mod overview;
mod page;
mod password;
mod reply;
mod routes;
mod service;
mod session;
mod settings;
mod sign_in;
mod state;

pub use link::ConsoleLinks;
pub use routes::routes;
pub use service::ConsoleService;
pub use settings::ConsoleSettings;
