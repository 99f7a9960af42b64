//! The output of the log: a bounded queue of lines in memory, and one thread that writes them to standard error.
//!
//! A thread that logs copies its line into the queue and goes on: it never waits for the reader of standard
//! error. Beyond [`MAX_LINES`] or [`MAX_BYTES`] lines are dropped and counted, and a warning says how many
//! are missing, at the place where they are missing, once standard error accepts lines again.
//!
//! Lines of answered requests are frequent: the thread waits [`BATCH_DELAY`] and writes them together.
//! Any other line ends the wait. All lines are written in the order in which they were logged.
//!
//! `tracing-appender` is not used: its queue is bounded in lines but not in bytes, it writes each line
//! as it comes, so that each request would wake its thread, and at the end it prints to standard output.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::line::LineFormat;
use crate::metrics::Counter;

/// The target of log lines about answered requests.
pub const REQUESTS: &str = "scimd::requests";

/// The number of lines that wait in the queue at most.
const MAX_LINES: usize = 16_384;
/// The size of the lines that wait in the queue at most. While they wait, up to as much may be being written.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long the thread waits for more lines of requests.
const BATCH_DELAY: Duration = Duration::from_millis(20);
/// The size of waiting lines from which the thread waits no longer. An idle queue keeps this much memory.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the end of the process waits until standard error has accepted all lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Lines that wait to be written to standard error.
pub(super) struct LineQueue {
    waiting: Mutex<Waiting>,
    /// Signals the thread: there is a line, or a reason to wait no longer for others.
    arrived: Condvar,
    /// Signals flushing threads: a batch has been written.
    written: Condvar,
    dropped: Arc<Counter>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: usize,
    /// Lines that found the queue full since the last batch was taken. All of them come after `bytes`.
    dropped: usize,
    /// Whether the thread waits no longer for other lines.
    urgent: bool,
    /// Whether a batch is being written.
    writing: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines == 0 && self.dropped == 0
    }
}

impl LineQueue {
    /// Starts the thread that writes the lines of a queue to standard error.
    ///
    /// # Errors
    ///
    /// The operating system refuses the thread.
    pub(super) fn start(format: LineFormat) -> io::Result<Arc<Self>> {
        Self::start_with(io::stderr(), format)
    }

    fn start_with(sink: impl Write + Send + 'static, format: LineFormat) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::new());
        let mut output = Output { sink, format, torn: false, lost: 0 };
        let written = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            let mut batch = Vec::with_capacity(BATCH_BYTES);
            loop {
                written.write_batch(&mut batch, &mut output);
            }
        })?;
        Ok(queue)
    }

    fn new() -> Self {
        let waiting = Waiting { bytes: Vec::with_capacity(BATCH_BYTES), ..Waiting::default() };
        Self {
            waiting: Mutex::new(waiting),
            arrived: Condvar::new(),
            written: Condvar::new(),
            dropped: Arc::default(),
        }
    }

    /// The number of lines that were dropped since the start.
    pub(super) fn dropped(&self) -> Arc<Counter> {
        Arc::clone(&self.dropped)
    }

    /// Adds a line, or drops it if the queue is full. An urgent line is written without delay.
    fn push(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.lock();
        let (was_empty, was_urgent) = (waiting.is_empty(), waiting.urgent);
        let is_full = waiting.lines >= MAX_LINES || waiting.bytes.len() + line.len() > MAX_BYTES;
        // After a dropped line all others are dropped until the next batch is taken: one gap, one warning.
        if is_full || waiting.dropped > 0 {
            waiting.dropped += 1;
            self.dropped.add_one();
        } else {
            waiting.bytes.extend_from_slice(line);
            waiting.lines += 1;
        }
        waiting.urgent |= urgent || waiting.bytes.len() >= BATCH_BYTES;
        if was_empty || waiting.urgent != was_urgent {
            self.arrived.notify_one();
        }
    }

    /// Waits for lines and writes them. `batch` is an empty buffer, which is reused.
    fn write_batch(&self, batch: &mut Vec<u8>, output: &mut Output<impl Write>) {
        let waiting = self.arrived.wait_while(self.lock(), |waiting| waiting.is_empty());
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self
            .arrived
            .wait_timeout_while(waiting, BATCH_DELAY, |waiting| !waiting.urgent)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        std::mem::swap(&mut waiting.bytes, batch);
        let dropped = std::mem::take(&mut waiting.dropped);
        waiting.lines = 0;
        waiting.urgent = false;
        waiting.writing = true;
        drop(waiting);
        let lost = output.write(batch, dropped);
        self.dropped.add(lost as u64);
        batch.clear();
        batch.shrink_to(BATCH_BYTES);
        self.lock().writing = false;
        self.written.notify_all();
    }

    /// Waits until all lines have been written, but not longer than `timeout`: the reader of standard error
    /// may have stalled. Returns whether all have been written.
    fn flush(&self, timeout: Duration) -> bool {
        let mut waiting = self.lock();
        if !waiting.is_empty() {
            waiting.urgent = true;
            self.arrived.notify_one();
        }
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.is_empty();
        let result = self.written.wait_timeout_while(waiting, timeout, unwritten);
        !result.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the thread writes.
struct Output<W> {
    sink: W,
    format: LineFormat,
    /// Whether the last write failed in the middle of a line.
    torn: bool,
    /// Lines that are missing and that no warning has reported yet.
    lost: usize,
}

impl<W: Write> Output<W> {
    /// Writes a batch of lines, after which `dropped` lines are missing. Returns how many lines of the batch
    /// could not be written.
    fn write(&mut self, batch: &[u8], dropped: usize) -> usize {
        self.report();
        let rest = self.try_write(batch);
        let failed = rest.iter().filter(|&&byte| byte == b'\n').count();
        self.lost += failed + dropped;
        self.report();
        failed
    }

    /// Writes a warning about missing lines, if there are any. If that fails, the next one includes them.
    fn report(&mut self) {
        if self.lost > 0 {
            let warning = self.format.dropped(self.lost);
            if self.try_write(warning.as_bytes()).is_empty() {
                self.lost = 0;
            }
        }
    }

    /// Writes lines. Returns what could not be written.
    fn try_write<'a>(&mut self, mut lines: &'a [u8]) -> &'a [u8] {
        if self.torn && self.sink.write_all(b"\n").is_ok() {
            self.torn = false;
        }
        while !lines.is_empty() {
            match self.sink.write(lines) {
                Ok(0) => break,
                Ok(count) => {
                    let (written, rest) = lines.split_at_checked(count).unwrap_or((lines, &[]));
                    self.torn = written.last() != Some(&b'\n');
                    lines = rest;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines
    }
}

/// Waits, when it is dropped, until the log has been written. Keep it until the process ends.
pub struct FlushGuard(pub(super) Arc<LineQueue>);

impl Drop for FlushGuard {
    fn drop(&mut self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Waits until the log has been written, without ending it.
#[derive(Clone)]
pub struct LogFlusher(pub(super) Arc<LineQueue>);

impl LogFlusher {
    /// Waits like the end of the process: not longer than for 2 seconds.
    pub fn flush(&self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Makes the writers that `tracing-subscriber` asks for.
pub(super) struct LineWriters(pub(super) Arc<LineQueue>);

/// Takes one line into the queue.
pub(super) struct QueueWriter<'a> {
    queue: &'a LineQueue,
    urgent: bool,
}

impl Write for QueueWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.push(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriters {
    type Writer = QueueWriter<'a>;

    fn make_writer(&'a self) -> QueueWriter<'a> {
        QueueWriter { queue: &self.0, urgent: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> QueueWriter<'a> {
        QueueWriter { queue: &self.0, urgent: metadata.target() != REQUESTS }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::level::LogFormat;
    use super::*;
    use crate::clock::Stopwatch;

    /// A sink that writes nothing until it is opened, then everything.
    #[derive(Clone, Default)]
    struct Gate(Arc<(Mutex<Gated>, Condvar)>);

    #[derive(Default)]
    struct Gated {
        open: bool,
        /// What each write brought.
        writes: Vec<String>,
    }

    impl Gate {
        fn opened() -> Self {
            let gate = Self::default();
            gate.open();
            gate
        }

        fn open(&self) {
            self.0.0.lock().unwrap().open = true;
            self.0.1.notify_all();
        }

        fn writes(&self) -> Vec<String> {
            self.0.0.lock().unwrap().writes.clone()
        }
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (gated, opened) = &*self.0;
            let mut gated = opened.wait_while(gated.lock().unwrap(), |gated| !gated.open).unwrap();
            gated.writes.push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start(sink: &Gate) -> Arc<LineQueue> {
        LineQueue::start_with(sink.clone(), LineFormat::plain(LogFormat::Text)).unwrap()
    }

    /// Lets the thread take a line that its closed sink does not accept.
    fn stall(queue: &LineQueue) {
        queue.push(b"stalled\n", true);
        while !queue.lock().writing {
            thread::yield_now();
        }
    }

    #[test]
    fn lines_of_requests_are_written_together_and_another_line_ends_the_wait() {
        let sink = Gate::opened();
        let queue = LineQueue::new();
        let format = LineFormat::plain(LogFormat::Text);
        let mut output = Output { sink: sink.clone(), format, torn: false, lost: 0 };
        let mut batch = Vec::new();
        let mut expected = String::new();
        for number in 0..1_000 {
            let line = format!("request {number}\n");
            queue.push(line.as_bytes(), false);
            expected += &line;
        }
        assert!(!queue.lock().urgent);
        queue.push(b"warning\n", true);
        assert!(queue.lock().urgent);
        queue.write_batch(&mut batch, &mut output);
        assert_eq!(sink.writes(), [expected + "warning\n"], "one write");
        assert!(!queue.lock().urgent);
        queue.push(&[b'x'; BATCH_BYTES], false);
        assert!(queue.lock().urgent, "many bytes end the wait, too");
    }

    #[test]
    fn a_stalled_reader_blocks_no_line_and_misses_those_beyond_the_number() {
        let sink = Gate::default();
        let queue = start(&sink);
        stall(&queue);
        for number in 0..MAX_LINES {
            queue.push(format!("{number}\n").as_bytes(), true);
        }
        assert_eq!(queue.dropped().value(), 0, "that many fit");
        for _ in 0..3 {
            queue.push(b"too many\n", true);
        }
        assert_eq!(queue.dropped().value(), 3);
        sink.open();
        assert!(queue.flush(Duration::from_secs(30)));
        queue.push(b"after\n", true);
        assert!(queue.flush(Duration::from_secs(30)));
        let written = sink.writes().concat();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 1 + MAX_LINES + 1 + 1);
        assert_eq!(lines[..3], ["stalled", "0", "1"]);
        assert_eq!(lines[MAX_LINES], (MAX_LINES - 1).to_string());
        let warning = lines[MAX_LINES + 1];
        assert!(
            warning.contains(" WARN log lines dropped") && warning.ends_with("lines=3"),
            "{warning}"
        );
        assert_eq!(lines[MAX_LINES + 2], "after", "and all is well again");
    }

    #[test]
    fn waiting_lines_take_no_more_than_their_bound_of_memory() {
        let sink = Gate::default();
        let queue = start(&sink);
        stall(&queue);
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..MAX_BYTES / line.len() {
            queue.push(&line, true);
        }
        assert_eq!((queue.dropped().value(), queue.lock().bytes.len()), (0, MAX_BYTES));
        queue.push(b"\n", true);
        assert_eq!((queue.dropped().value(), queue.lock().bytes.capacity()), (1, MAX_BYTES));
        sink.open();
        assert!(queue.flush(Duration::from_secs(30)));
        // The thread has both buffers in turn, and keeps little of either.
        for _ in 0..2 {
            queue.push(b"small\n", true);
            assert!(queue.flush(Duration::from_secs(30)));
        }
        assert!(queue.lock().bytes.capacity() <= BATCH_BYTES);
    }

    #[test]
    fn the_end_waits_for_lines_of_requests_but_not_for_a_stalled_reader() {
        let sink = Gate::opened();
        let queue = start(&sink);
        queue.push(b"request\n", false);
        drop(FlushGuard(queue));
        assert_eq!(sink.writes(), ["request\n"]);

        let queue = start(&Gate::default());
        stall(&queue);
        let watch = Stopwatch::start();
        drop(FlushGuard(queue));
        let waited = watch.elapsed();
        assert!(waited >= FLUSH_TIMEOUT && waited < FLUSH_TIMEOUT * 5, "{waited:?}");
    }

    /// A sink whose writes come to what the test says: bytes that it accepts, or an error.
    struct Scripted {
        results: Receiver<io::Result<usize>>,
        accepted: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.results.try_recv().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
            self.accepted.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted() -> (Sender<io::Result<usize>>, Output<Scripted>) {
        let (script, results) = channel();
        let sink = Scripted { results, accepted: Vec::new() };
        let format = LineFormat::plain(LogFormat::Text);
        (script, Output { sink, format, torn: false, lost: 0 })
    }

    #[test]
    fn lines_that_can_not_be_written_are_counted_and_a_torn_line_ends() {
        let (script, mut output) = scripted();
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        // Three bytes of the batch, then errors: of the batch, of the line feed and of the warning.
        for result in [Ok(3), full(), full(), full()] {
            script.send(result).unwrap();
        }
        assert_eq!(output.write(b"a\nbc\nd\n", 2), 2);
        assert_eq!((output.sink.accepted.as_slice(), output.lost), (b"a\nb".as_slice(), 4));
        assert_eq!(output.write(b"e\n", 0), 0);
        let written = String::from_utf8(output.sink.accepted).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        let [first, torn, warning, last] = lines[..] else { panic!("{written}") };
        assert_eq!((first, torn, last), ("a", "b", "e"));
        assert!(warning.ends_with("lines=4"), "{warning}");
    }

    #[test]
    fn an_interrupted_or_partial_write_loses_nothing() {
        let (script, mut output) = scripted();
        for result in [Ok(1), Err(io::Error::from(io::ErrorKind::Interrupted)), Ok(2)] {
            script.send(result).unwrap();
        }
        assert_eq!(output.write(b"a\nbc\n", 0), 0);
        assert_eq!((output.sink.accepted.as_slice(), output.lost), (b"a\nbc\n".as_slice(), 0));
    }
}
