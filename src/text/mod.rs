//! Small operations on text that every floor needs.
//!
//! | file | contents |
//! | --- | --- |
//! | `fold` | the form in which texts are compared when letter case does not matter |
//! | `excerpt` | long or foreign texts, shortened and escaped for messages |
//! | `nearest` | the known word that a misspelt one probably means |
//! | `keyword` | closed lists of words: parsing, and serde for enums written as one word |
//! | `invalid` | why a text is not a valid value |
//! | `duration` | lengths of time as operators write them |
//! | `unseen` | characters that no reader sees |
//! | `digits`, `json_text` | numbers, times and JSON strings, quicker than by formatting |
//! | `causes` | an error together with the errors that caused it |

mod causes;
pub mod digits;
pub mod duration;
mod excerpt;
mod fold;
mod invalid;
pub mod json_text;
pub mod keyword;
mod nearest;
mod unseen;

pub use causes::{causes, with_causes};
pub use excerpt::{Excerpt, excerpt, shorten};
pub use fold::fold;
pub use invalid::InvalidText;
pub use nearest::nearest;
pub use unseen::{as_seen, is_unseen};
