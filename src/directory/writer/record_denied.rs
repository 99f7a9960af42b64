//! The command that records denied requests in the audit trail.

use std::time::Duration;

use crate::connection::token::TokenDenial;
use crate::directory::audit::denied::DeniedLog;
use crate::directory::error::DirectoryError;
use crate::directory::token::commands::note_denials;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, RefusedRequests, Verb};

/// How often collected entries are recorded.
const PERIOD: Duration = Duration::from_secs(10);
/// After a record of more entries than this, the next one waits for the long period.
const FEW: usize = 8;
/// The long period.
const LONG_PERIOD: Duration = Duration::from_secs(60);

/// Records collected denied requests in the audit trail.
pub(super) struct RecordDenied {
    refusals: Vec<RefusedRequests>,
    others: u64,
}

impl RecordDenied {
    /// Takes the entries that the log of denied requests has collected; `None` if there are none.
    pub(super) fn from_log(log: &DeniedLog) -> Option<Self> {
        log.take().map(|(refusals, others)| Self { refusals, others })
    }

    /// The time until the next record: many entries at once, as in an attack from many networks, make
    /// it longer, so that the disk fills more slowly.
    pub(super) fn pause(last: Option<&Self>) -> Duration {
        match last {
            Some(last) if last.refusals.len() > FEW => LONG_PERIOD,
            _ => PERIOD,
        }
    }
}

impl Command for RecordDenied {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let of_tokens = self.refusals.iter().filter_map(|refusal| {
            let reason = refusal.reason.as_str().to_owned();
            Some((refusal.token.as_deref()?, TokenDenial { time: refusal.last, reason }))
        });
        note_denials(tx, of_tokens)?;
        tx.details().denied_requests(self.refusals.clone(), self.others);
        let (kind, subject) = ("request".to_owned(), String::new());
        tx.record(Event { kind, verb: Verb::Refused, subject });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::directory::audit::denied::DeniedRequest;
    use crate::event::Reason;

    #[test]
    fn an_attack_from_many_networks_costs_a_bounded_number_of_bytes_a_day() {
        let log = DeniedLog::default();
        for number in 0..1_000_u32 {
            // The longest text that an address has.
            let address = format!("2001:db8:f000:{number:x}::1").parse().unwrap();
            let (reason, owner, token, detail) = (Reason::MalformedToken, None, None, None);
            let denied = DeniedRequest { reason, owner, token, detail, address };
            log.note(denied, Timestamp::from_second(1).unwrap());
        }
        let record = RecordDenied::from_log(&log).unwrap();
        assert_eq!(RecordDenied::pause(Some(&record)), LONG_PERIOD);
        // docs/audit.md states this bound.
        let bytes = serde_json::to_vec(&record.refusals).unwrap().len() as u64 + 400;
        let day = 24 * 60 * 60;
        assert!(bytes * (day / LONG_PERIOD.as_secs()) < 35_000_000, "{bytes}");
    }
}
