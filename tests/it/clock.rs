//! A clock that is wrong: what it revives, what it ends, and what the log remembers of it.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use scimd::event::{Actor, Details, Event, Head, Verb};
use scimd::log::local::LocalLog;
use scimd::log::{Append, Log as _, LogEntry, ReadLog as _};
use serde_json::Value;

use crate::harness::{Server, create, free_port, user};

const DAY: i64 = 24;

fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap()
}

/// Appends a record to the log of a server that has stopped, made this many hours from now.
fn append_record(server: &Server, hours: i64) {
    let log = LocalLog::open(&server.data().join("journal"), [0; 16], &[]).unwrap();
    let event = Event { kind: "token".to_owned(), verb: Verb::Used, subject: String::new() };
    let time = now() + SignedDuration::from_hours(hours);
    let head = Head { time, actor: Actor::System, event, details: Details::default() };
    let entry = LogEntry { head, writes: Vec::new() };
    let appended = log.append(vec![entry], log.head()).unwrap();
    assert!(matches!(appended, Append::Done(_)));
}

fn status(server: &Server) -> Value {
    serde_json::from_str(&server.succeed(&["clock", "status", "--json"])).unwrap()
}

/// The records of the trail: their events and times, the newest last.
fn trail(server: &Server) -> Vec<(String, Timestamp)> {
    let printed = server.succeed(&["audit", "--json"]);
    let records = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    records.map(|record| (text(&record["event"]), text(&record["time"]).parse().unwrap())).collect()
}

/// Whether a moment is this many hours from now, give or take some minutes.
fn is_near(time: Timestamp, hours: i64) -> bool {
    let expected = now() + SignedDuration::from_hours(hours);
    time.duration_since(expected).abs() < SignedDuration::from_mins(5)
}

#[test]
fn a_clock_that_is_set_back_revives_no_token_until_it_is_accepted() {
    let mut server = Server::start();
    let short = server.succeed(&["token", "generate", "--expires", "1d"]);
    server.stop();
    append_record(&server, 2 * DAY);
    server.boot(&[]);
    server.until("the alarm is logged", |server| {
        server.stderr().contains("the clock is not trusted")
    });
    let ended = server.client_with(short.trim());
    assert_eq!(ended.get("/Users").status, 401);
    create(&server.client(), "/Users", &user("ada"));
    let (event, time) = trail(&server).pop().unwrap();
    assert!(event == "user.created" && is_near(time, 2 * DAY), "{event} {time}");

    server.succeed(&["clock", "accept"]);
    assert_eq!(ended.get("/Users").status, 200);
    let (event, time) = trail(&server).pop().unwrap();
    assert!(event == "clock.accepted" && is_near(time, 0), "{event} {time}");
    server.stop();
    server.boot(&[]);
    assert_eq!(status(&server)["trusted"], true);
}

#[test]
fn a_clock_that_stands_long_after_the_last_record_moves_no_mark_until_it_is_accepted() {
    let port = free_port();
    let config = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    let mut server = Server::start_with(&config);
    server.stop();
    append_record(&server, -91 * DAY);
    server.boot(&[]);
    let alarm = |value: u8| {
        let page = ureq::get(format!("http://127.0.0.1:{port}/metrics")).call().unwrap();
        let page = page.into_body().read_to_string().unwrap();
        page.contains(&format!("\nscimd_clock_alarm {value}\n"))
    };
    assert!(alarm(1));
    create(&server.client(), "/Users", &user("ada"));
    let told = trail(&server);
    let [.., (alarmed, first), (created, second)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((alarmed.as_str(), created.as_str()), ("clock.alarmed", "user.created"));
    assert!(is_near(*first, -91 * DAY) && is_near(*second, -91 * DAY), "{told:?}");

    let status = status(&server);
    assert_eq!(status["trusted"], false);
    assert!(is_near(status["clock"].as_str().unwrap().parse().unwrap(), 0), "{status}");
    server.succeed(&["clock", "accept"]);
    assert!(alarm(0));
    create(&server.client(), "/Users", &user("grace"));
    let (_, time) = trail(&server).pop().unwrap();
    assert!(is_near(time, 0), "{time}");
}

#[test]
fn a_rest_of_89_days_is_no_alarm_and_the_clock_is_accepted_without_a_server_too() {
    let mut server = Server::start();
    server.stop();
    append_record(&server, -89 * DAY);
    assert_eq!(status(&server)["trusted"], true);
    append_record(&server, 90 * DAY);
    assert_eq!(status(&server)["trusted"], false);
    server.succeed(&["clock", "accept"]);
    assert_eq!(status(&server)["trusted"], true);
    server.boot(&[]);
    assert_eq!(status(&server)["trusted"], true);
    assert!(!server.stderr().contains("not trusted"), "{}", server.stderr());
}
