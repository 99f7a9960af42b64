//! Where log lines go: standard error, most of them at once.
//!
//! Lines of answered requests are many. They wait a moment for one another and are written together; a
//! line of any other kind takes those that wait along, so that all stay in order. Only when the process
//! is killed, a moment's worth of them is lost.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::REQUESTS;

/// How long a line waits for others.
const MOMENT: Duration = Duration::from_millis(20);
/// With so many bytes waiting, a line is written together with them.
const MAX_WAITING: usize = 64 * 1024;

/// Standard error, and what waits to be written there.
pub(super) struct Output(Arc<Shared>);

struct Shared {
    waiting: Mutex<Vec<u8>>,
    comes: Condvar,
    /// Held from before lines are taken until they are written, so that all are written in order.
    sink: Mutex<Box<dyn Write + Send>>,
}

impl Output {
    /// An output, and the thread that writes what waits.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::new(Box::new(io::stderr())));
        let writing = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writing.keep_writing())?;
        Ok(Self(shared))
    }
}

impl Shared {
    fn new(sink: Box<dyn Write + Send>) -> Self {
        Self { waiting: Mutex::default(), comes: Condvar::new(), sink: Mutex::new(sink) }
    }

    fn keep_writing(&self) {
        loop {
            let mut waiting = self.waiting();
            while waiting.is_empty() {
                waiting = self.comes.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            thread::sleep(MOMENT);
            // A line that can't be written is lost. To tell of that would be another one.
            let _ = self.write_out(&[]);
        }
    }

    /// Takes a line to be written soon.
    fn leave(&self, line: &[u8]) -> io::Result<()> {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            self.comes.notify_one();
        }
        waiting.extend_from_slice(line);
        let many = waiting.len() > MAX_WAITING;
        drop(waiting);
        if many { self.write_out(&[]) } else { Ok(()) }
    }

    /// Writes what waits, and a line.
    fn write_out(&self, line: &[u8]) -> io::Result<()> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = std::mem::take(&mut *self.waiting());
        lines.extend_from_slice(line);
        sink.write_all(&lines)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one line.
pub(super) struct LineWriter<'a> {
    shared: &'a Shared,
    at_once: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written =
            if self.at_once { self.shared.write_out(line) } else { self.shared.leave(line) };
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { shared: &self.0, at_once: true }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { shared: &self.0, at_once: of.target() != REQUESTS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_wait_until_one_is_written_at_once_or_there_are_many() {
        let sink = Sink::default();
        let shared = Shared::new(Box::new(sink.clone()));
        let written = || std::mem::take(&mut *sink.0.lock().unwrap());
        shared.leave(b"a\n").unwrap();
        shared.leave(b"b\n").unwrap();
        assert_eq!(written(), b"");
        shared.write_out(b"c\n").unwrap();
        assert_eq!(written(), b"a\nb\nc\n");
        shared.leave(&[b'x'; MAX_WAITING]).unwrap();
        assert_eq!(written(), b"");
        shared.leave(b"\n").unwrap();
        assert_eq!(written().len(), MAX_WAITING + 1);
    }

    #[test]
    fn what_waits_is_written_after_a_moment() {
        let sink = Sink::default();
        let shared = Arc::new(Shared::new(Box::new(sink.clone())));
        let writing = Arc::clone(&shared);
        thread::spawn(move || writing.keep_writing());
        shared.leave(b"a\n").unwrap();
        while sink.0.lock().unwrap().is_empty() {
            thread::sleep(MOMENT);
        }
    }
}
