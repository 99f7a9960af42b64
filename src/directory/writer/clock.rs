//! The writer's look at the clock: an alarm is logged and recorded once.

use super::Writer;
use crate::clock::rfc3339;
use crate::directory::clock::RecordClockAlarm;
use crate::directory::trusted_time::ClockChange;

impl Writer {
    /// Looks at the clock, and reports if it is no longer trusted, or trusted again.
    pub(super) fn watch_clock(&mut self) {
        match self.shared.time.look(self.settings.local.clock) {
            Some(ClockChange::Alarm(status)) => {
                tracing::warn!(
                    clock = rfc3339(status.clock),
                    expected = rfc3339(status.expected),
                    "the clock is not trusted: records get the expected time, and expiry goes by the later of the \
                     two; correct the clock, or, if it is correct, run `scimd clock accept`"
                );
                // A failure is logged where it happens.
                let _ = self.carry_out(RecordClockAlarm { status });
            }
            Some(ClockChange::Trusted) => tracing::info!("the clock is trusted again"),
            None => {}
        }
    }
}
