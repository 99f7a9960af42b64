//! The named operators of the console, and the key of their one-time codes.

use crate::credential::{CodeKey, OperatorAccount};
use crate::directory::Directory;
use crate::directory::operator::table::CodeKeyLoader;

impl Directory {
    /// The operator of a name in lower case.
    pub fn operator(&self, name: &str) -> Option<OperatorAccount> {
        self.shared.operators.find(name)
    }

    /// Every named operator, by name.
    pub fn operators(&self) -> Vec<OperatorAccount> {
        self.shared.operators.list()
    }

    /// Says where the key of one-time codes comes from, once it is needed.
    pub fn load_code_key_with(&self, loader: CodeKeyLoader) {
        self.shared.operators.load_key_with(loader);
    }

    /// The key of one-time codes.
    ///
    /// # Errors
    ///
    /// A sentence that says why there is none and what to do.
    pub fn code_key(&self) -> Result<&CodeKey, String> {
        self.shared.operators.key()
    }
}
