//! SCIM 2.0 as pure rules over schemas: no I/O, no clock, no async.
//!
//! | file | what it implements |
//! | --- | --- |
//! | `attribute`, `schema`, `schemas/` | RFC 7643: characteristics, schemas, resource types, as data |
//! | `json` | bodies as JSON: depth, duplicate names, words for what is wrong |
//! | `exchange` | which attributes may come in with which request (RFC 7643, 2.2; RFC 7644, 3) |
//! | `canonical` | a client's value in the form in which its attribute is kept |
//! | `validate` | a client's JSON becomes a [`resource::Resource`], or an error |
//! | `resource` | resources, their identities, and the form in which they are stored and served |
//! | `value` | comparing values: letter case and Unicode |
//! | `path` | attribute paths (RFC 7644, figure 1) |
//! | `filter/` | the filter language (RFC 7644, 3.4.2.2) |
//! | `patch/` | changing parts of a resource (RFC 7644, 3.5.2) |
//! | `query` | what a query asks for (RFC 7644, 3.4.2) |
//! | `discovery` | ServiceProviderConfig, ResourceTypes, Schemas (RFC 7644, 4) |
//! | `error` | `scimType` keywords (RFC 7644, 3.12) |

pub mod attribute;
mod canonical;
pub mod discovery;
pub mod error;
pub mod exchange;
pub mod filter;
pub mod json;
pub mod patch;
pub mod path;
pub mod query;
pub mod resource;
pub mod schema;
pub mod schemas;
pub mod validate;
pub mod value;
