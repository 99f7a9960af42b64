//! SCIM 2.0 as pure rules over schemas: no I/O, no clock, no async.
//!
//! | file | what it implements |
//! | --- | --- |
//! | `attribute`, `schema`, `schemas/` | RFC 7643: characteristics, schemas, resource types, as data |
//! | `json` | JSON parsing: depth, duplicate names, error texts |
//! | `exchange` | the attributes that each request may carry (RFC 7643, 2.2; RFC 7644, 3) |
//! | `shape` | the variants that clients send for a name or a value |
//! | `canonical` | the conversion of a client's value to the stored form |
//! | `validate` | a client's JSON becomes a [`resource::Resource`], or an error |
//! | `resource` | resources, their identities, and the form in which they are stored and served |
//! | `pick` | reading some attributes of a stored resource |
//! | `value` | comparing values: letter case, Unicode, numbers, presence |
//! | `moment` | values of type dateTime, as points in time |
//! | `path` | attribute paths (RFC 7644, figure 1) |
//! | `filter/` | the filter language (RFC 7644, 3.4.2.2) |
//! | `patch/` | PATCH (RFC 7644, 3.5.2) |
//! | `projection` | the attributes that a response includes (RFC 7644, 3.9) |
//! | `attribute_list` | the names in `attributes` and `excludedAttributes` |
//! | `sort` | the order of results (RFC 7644, 3.4.2.3) |
//! | `bulk` | bulk requests (RFC 7644, 3.7) |
//! | `custom` | custom schemas and attributes |
//! | `registry` | the resource types that are served |
//! | `query` | query parameters: filter, order and page (RFC 7644, 3.4.2) |
//! | `discovery` | ServiceProviderConfig, ResourceTypes, Schemas (RFC 7644, 4) |
//! | `error` | `scimType` keywords (RFC 7644, 3.12) |

pub mod attribute;
pub mod attribute_list;
pub mod bulk;
pub(crate) mod canonical;
pub mod custom;
pub mod discovery;
pub mod error;
pub mod exchange;
pub mod filter;
pub mod json;
pub mod moment;
pub mod patch;
pub mod path;
pub mod pick;
pub mod projection;
pub mod query;
pub mod registry;
pub mod resource;
#[cfg(test)]
mod sample;
pub mod schema;
pub mod schemas;
pub(crate) mod shape;
pub mod sort;
pub mod validate;
pub mod value;
