//! The configuration of a running server, as operators change it.
//!
//! The server carries these requests out one after the other, beside the reloads that a signal asks for.

use tokio::sync::{mpsc, oneshot};

use super::{ConnectionChange, OperatorReply};
use crate::event::Actor;

/// The way to the part of a running server that holds the configuration.
pub type ConfigurationQueue = mpsc::UnboundedSender<ConfigurationJob>;

/// A request about the configuration, and where its reply goes.
pub struct ConfigurationJob {
    /// What is asked for.
    pub task: ConfigurationTask,
    /// Where the reply goes.
    pub reply: oneshot::Sender<OperatorReply>,
}

/// What can be asked of the configuration of a running server.
pub enum ConfigurationTask {
    /// Read the files again, and put them in force.
    Reload {
        /// Whether the files of other nodes may differ.
        force: bool,
    },
    /// Read the files again, and check them against the accounts.
    Check,
    /// Change a connection in `conf.d`, and put it in force.
    ChangeConnection {
        /// Who asks for it.
        actor: Actor,
        /// The change.
        change: Box<ConnectionChange>,
    },
}

/// Has a running server carry out a task, and waits for it.
pub(super) fn run(queue: Option<&ConfigurationQueue>, task: ConfigurationTask) -> OperatorReply {
    let Some(queue) = queue else {
        return OperatorReply::Failed("scimd is not running on this data directory".to_owned());
    };
    let stopped = || OperatorReply::Failed("the server is stopping".to_owned());
    let (reply, answer) = oneshot::channel();
    if queue.send(ConfigurationJob { task, reply }).is_err() {
        return stopped();
    }
    answer.blocking_recv().unwrap_or_else(|_| stopped())
}
