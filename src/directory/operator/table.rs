//! The named operators in memory, and the key of their one-time codes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::credential::{CodeKey, OperatorAccount};
use crate::log::{Frame, Write};
use crate::store::keys::{self, Kind};
use crate::store::{Read, StoreError};

/// Reads the key of one-time codes, or makes it.
pub type CodeKeyLoader = Box<dyn Fn() -> Result<CodeKey, String> + Send + Sync>;

/// The named operators in memory.
#[derive(Default)]
pub(crate) struct OperatorTable {
    by_name: RwLock<BTreeMap<String, OperatorAccount>>,
    loader: OnceLock<CodeKeyLoader>,
    key: OnceLock<Result<CodeKey, String>>,
}

impl OperatorTable {
    /// Reads all operators.
    pub(crate) fn load(state: &dyn Read) -> Result<Self, StoreError> {
        let stored = stored_operators(state)?.into_iter();
        let by_name = stored.map(|account| (account.name.clone(), account)).collect();
        Ok(Self { by_name: RwLock::new(by_name), ..Self::default() })
    }

    /// Takes over what a committed frame did to operators.
    pub(crate) fn observe(&self, frame: &Frame) {
        let of_operator = |write: &&Write| keys::kind(&write.key) == Some(Kind::Operator);
        for write in frame.writes.iter().filter(of_operator) {
            let name = write.key.strip_prefix(&keys::operators()).unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let account = write.value.as_deref().map(serde_json::from_slice::<OperatorAccount>);
            let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
            match account {
                Some(Ok(account)) => {
                    by_name.insert(name, account);
                }
                // A damaged record authenticates no operator.
                Some(Err(error)) => {
                    tracing::error!(%error, operator = %name, "an operator in the log can't be read");
                    by_name.remove(&name);
                }
                None => {
                    by_name.remove(&name);
                }
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<OperatorAccount> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Every operator, by name.
    pub(crate) fn list(&self) -> Vec<OperatorAccount> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Says where the key of one-time codes comes from, once it is needed.
    pub(crate) fn load_key_with(&self, loader: CodeKeyLoader) {
        let _ = self.loader.set(loader);
    }

    /// The key of one-time codes.
    ///
    /// # Errors
    ///
    /// A sentence that says why there is none and what to do.
    pub(crate) fn key(&self) -> Result<&CodeKey, String> {
        let load = || match self.loader.get() {
            Some(loader) => loader(),
            None => Err("one-time codes need a running server; start scimd".to_owned()),
        };
        self.key.get_or_init(load).as_ref().map_err(Clone::clone)
    }
}

/// Every operator in the store.
pub(crate) fn stored_operators(state: &dyn Read) -> Result<Vec<OperatorAccount>, StoreError> {
    let mut operators = Vec::new();
    let mut problem = Ok(());
    state.scan(&keys::operators(), None, &mut |key, value| {
        match serde_json::from_slice(&value) {
            Ok(operator) => operators.push(operator),
            Err(error) => {
                let key = String::from_utf8_lossy(key);
                let reason = format!("{key} holds no operator: {error}");
                problem = Err(StoreError::Engine { action: "read operators", reason });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    problem.map(|()| operators)
}
