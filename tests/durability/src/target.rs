//! An application that takes the deliveries of a webhook over plain HTTP, refuses some, and keeps them all.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::finding::{Finding, Harm};
use crate::random::Random;
use crate::received::{self, Event};

/// How long a request may take to arrive, and deliveries to come after a restart.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// A batch as it came first.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    id: String,
    body: String,
}

/// What has come.
#[derive(Debug, Default)]
struct Deliveries {
    batches: Vec<Batch>,
    /// Which batch came last in this life of the server.
    last: Option<usize>,
    /// Draws refusals; without it everything is taken.
    refusals: Option<Random>,
    findings: Vec<Finding>,
    /// Where it is noted how many batches there are.
    mark: Option<File>,
}

/// The application; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Target {
    port: u16,
    deliveries: Arc<Mutex<Deliveries>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Target {
    /// One that knows these batches already.
    pub(crate) fn start(batches: Vec<Batch>) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let deliveries = Arc::new(Mutex::new(Deliveries { batches, ..Deliveries::default() }));
        let ending = Arc::new(AtomicBool::new(false));
        let (taking, ended) = (Arc::clone(&deliveries), Arc::clone(&ending));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // One that breaks off was killed.
                let _ = stream.and_then(|stream| serve(stream, &taking));
            }
        });
        Ok(Self { port, deliveries, ending, thread: Some(thread) })
    }

    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        lock(&self.deliveries)
    }

    /// The URL for the configuration.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// From now on some deliveries are refused or not answered; none if `random` is not given.
    pub(crate) fn refuse(&self, random: Option<Random>) {
        self.deliveries().refusals = random;
    }

    /// The server was started again: batches of before may come again.
    pub(crate) fn restarted(&self) {
        self.deliveries().last = None;
    }

    /// Notes in a file from now on how many batches there are.
    pub(crate) fn mark(&self, file: File) {
        self.deliveries().mark = Some(file);
    }

    /// The batches, in the order in which they came first.
    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.deliveries().batches.clone()
    }

    /// Holds what has come against the events of the feed behind the first `begin`; all must come if `to_the_end`.
    pub(crate) fn check(&self, all: &[Event], begin: usize, to_the_end: bool) -> Vec<Finding> {
        let all = all.get(begin..).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        let (events, mut findings) = loop {
            let batches = self.batches();
            let events: Result<Vec<Vec<Event>>, String> =
                batches.iter().map(|batch| Event::of_array(&batch.body)).collect();
            let events = match events {
                Ok(events) => events.concat(),
                Err(error) => return vec![Finding::new(Harm::WrongAnswer, error)],
            };
            let is_over = Instant::now() > deadline;
            if !to_the_end || events.len() >= all.len() || is_over {
                break (events, std::mem::take(&mut self.deliveries().findings));
            }
            std::thread::sleep(PAUSE);
        };
        if to_the_end && events.len() < all.len() {
            let text = format!("a webhook has got {} events of {}", events.len(), all.len());
            findings.push(Finding::new(Harm::Lost, text));
        }
        // Events of changes that came after the feed was read are not held against it.
        let known = events.get(..all.len()).unwrap_or(&events);
        findings.extend(received::differs("a webhook", known, all));
        findings
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(deliveries: &Mutex<Deliveries>) -> MutexGuard<'_, Deliveries> {
    deliveries.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, deliveries: &Mutex<Deliveries>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        match line.trim_end().split_once(": ") {
            Some(("webhook-id", value)) => id = value.to_owned(),
            Some(("content-length", value)) => length = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let answer = lock(deliveries).take(Batch { id, body });
    reader.into_inner().write_all(answer.as_bytes())
}

impl Deliveries {
    /// Keeps a batch, and draws an answer; an empty one closes the connection.
    fn take(&mut self, batch: Batch) -> &'static str {
        let known = self.batches.iter().position(|one| one.id == batch.id);
        let place = known.unwrap_or(self.batches.len());
        if let Some(first) = self.batches.get(place)
            && first.body != batch.body
        {
            let text = format!("batch {} came again with other bytes", batch.id);
            self.findings.push(Finding::new(Harm::Inconsistent, text));
        }
        if self.last.is_some_and(|last| place != last && place != last + 1) {
            let text = format!("batch {place}, {}, came after batch {:?}", batch.id, self.last);
            self.findings.push(Finding::new(Harm::Inconsistent, text));
        }
        self.last = Some(place);
        if known.is_none() {
            self.batches.push(batch);
        }
        if let Some(mark) = &mut self.mark {
            // The recording is checked as a whole.
            let _ = mark.write_all(format!("Mw {}\n", self.batches.len()).as_bytes());
        }
        match self.refusals.as_mut().map(|random| random.below(100)) {
            Some(0..10) => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            Some(10..20) => "",
            _ => "HTTP/1.1 204 No Content\r\n\r\n",
        }
    }
}
