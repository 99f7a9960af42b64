//! Small operations on text that every floor needs.
//!
//! | file | contents |
//! | --- | --- |
//! | `fold` | the form in which texts are compared when letter case does not matter |
//! | `excerpt` | long or foreign texts, shortened and escaped for messages |
//! | `nearest` | the known word that a misspelt one probably means |
//! | `causes` | an error together with the errors that caused it |

mod causes;
mod excerpt;
mod fold;
mod nearest;

pub use causes::{causes, with_causes};
pub use excerpt::{Excerpt, excerpt, shorten};
pub use fold::fold;
pub use nearest::nearest;
