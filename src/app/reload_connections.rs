//! Connections that change while the server runs: by an operator here, or on another node.

use anyhow::anyhow;

use super::connection_change::{self, not_recorded, put};
use super::connection_files::{note, pending};
use super::reload::{OtherFiles, Reloader};
use crate::config::Config;
use crate::directory::ConnectionFile;
use crate::event::Actor;
use crate::operator::{ConnectionChange, ConnectionChanged, ConnectionRefusal};
use crate::text::with_causes;

impl Reloader {
    /// Writes a connection to `conf.d` and puts it in force; on a refusal the file is as before.
    pub(super) fn change_connection(
        &mut self,
        actor: &Actor,
        change: ConnectionChange,
    ) -> Result<ConnectionChanged, ConnectionRefusal> {
        let planned =
            connection_change::plan(self.config.file.as_deref(), &self.directory, change)?;
        let file = planned.next_file(&self.directory, &self.config.data_dir)?;
        let is_shared = file.is_some();
        planned.write()?;
        let read = |present: &Config| Config::find(present.file.as_deref());
        if let Err(error) = self.reload_and_tell("scimd connection", false, read) {
            planned.put_back()?;
            return Err(ConnectionRefusal::Failed(format!(
                "the server rejected the change; the file was restored: {error:#}"
            )));
        }
        match planned.record(&self.directory, &self.config.data_dir, actor, file) {
            Ok(()) => planned.finish(&self.directory, actor, true),
            // What the other nodes will not have is not left here. If the record is made after all, all follow it.
            Err(error) if is_shared => {
                planned.put_back()?;
                let _ = self.reload_and_tell("scimd connection", true, read);
                self.directory.ring_connections();
                Err(ConnectionRefusal::Failed(format!(
                    "the change could not be put into the log, and the file was restored: {}",
                    with_causes(&error)
                )))
            }
            Err(error) => Err(not_recorded(&error)),
        }
    }

    /// Takes over the connections that other nodes have changed. Returns whether it is done; until then it is tried again.
    pub(super) fn follow_connections(&mut self) -> bool {
        let data = self.config.data_dir.clone();
        let pending = match pending(&self.directory, &data) {
            Ok(pending) => pending,
            Err(error) => {
                let reason =
                    format!("the connections that all nodes share can't be read: {error:#}");
                tracing::error!(reason, "not ready");
                self.directory.note_connections(Some(reason), None);
                return false;
            }
        };
        let (mut problems, mut warnings, mut done) = (Vec::new(), Vec::new(), true);
        for (name, file) in pending {
            match self.take_over(&name, &file) {
                Ok(()) => {}
                Err(Trouble::NotWritten(reason)) => warnings.push(reason),
                Err(Trouble::NotInForce(reason)) => {
                    problems.push(format!("connection {name}: {reason}"));
                    done = false;
                }
            }
        }
        let join = |reasons: Vec<String>, what: &str| {
            (!reasons.is_empty()).then(|| format!("{what}: {}", reasons.join("; ")))
        };
        let problem =
            join(problems, "connections that another node has changed are not in force here");
        let warning =
            join(warnings, "connections that another node has changed are not in conf.d here");
        let is_new = (problem.clone(), warning.clone()) != self.told;
        for reason in [&problem, &warning].into_iter().flatten().filter(|_| is_new) {
            tracing::warn!("{reason}");
        }
        self.told = (problem.clone(), warning.clone());
        self.directory.note_connections(problem, warning);
        done
    }

    fn take_over(&mut self, name: &str, file: &ConnectionFile) -> Result<(), Trouble> {
        let not_in_force = |error: anyhow::Error| Trouble::NotInForce(format!("{error:#}"));
        let path = self.config.connection_file(name);
        let path = path.ok_or_else(|| not_in_force(anyhow!("there is no configuration file")))?;
        let wanted = self.config.with_file(&path, file.text.as_deref());
        let wanted = wanted.map_err(|error| not_in_force(error.into()))?;
        // Checked as a whole, so that the next start takes it.
        let written = put(&path, file.text.as_deref());
        if self.config.text_of(&path) != file.text.as_deref() {
            self.reload(wanted, OtherFiles::Follow).map_err(not_in_force)?;
            tracing::info!(
                connection = name,
                "a connection that another node has changed is in force here, too"
            );
        }
        match written {
            Ok(()) => note(&self.config.data_dir, name, file.number).map_err(not_in_force),
            Err(
                ConnectionRefusal::Failed(reason)
                | ConnectionRefusal::Usage(reason)
                | ConnectionRefusal::NotFound(reason),
            ) => Err(Trouble::NotWritten(reason)),
        }
    }
}

/// Why a connection could not be taken over.
enum Trouble {
    /// It is in force, and not in `conf.d`.
    NotWritten(String),
    /// It is not in force.
    NotInForce(String),
}
