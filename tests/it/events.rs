//! The change feed over HTTP: pages, long polls, streams, and who may follow it.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Raw, Reply, Server, create, free_port, head, user};
use crate::metrics::{scrape, value};

const FEED: &str =
    "[applications.feed]\nscopes = [\"events\"]\n[applications.other]\nscopes = [\"events\"]\n";

fn token(server: &Server, application: &str) -> String {
    server.succeed(&["token", "generate", "--application", application]).trim().to_owned()
}

/// A client of the application `feed`.
fn consumer(server: &Server) -> Client {
    server.stranger().bearer(&token(server, "feed"))
}

fn events(consumer: &Client, query: &str) -> Reply {
    consumer.get(&format!("//events?{query}")).expect(200)
}

/// The types and subjects of the events of a page.
fn told(page: &Reply) -> Vec<(String, String)> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let events = page.body["events"].as_array().unwrap().iter();
    events.map(|event| (text(event, "type"), text(event, "subject"))).collect()
}

/// A cursor behind all that there is, once the feed has it.
fn now(consumer: &Client) -> String {
    let mut page = events(consumer, "limit=1000&wait=1");
    while page.body["next"] != page.body["head"] || !told(&page).is_empty() {
        page = events(consumer, &format!("limit=1000&after={}", page.text("/next")));
    }
    page.text("/next").to_owned()
}

/// Insists that this is a problem with that status; its detail.
#[track_caller]
fn problem(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.body["status"], json!(status));
    reply.text("/detail").to_owned()
}

/// The next server-sent event or comment, up to its empty line; empty at the end of the stream.
fn next(stream: &mut BufReader<impl Read>) -> String {
    let mut text = String::new();
    while stream.read_line(&mut text).unwrap_or(0) > 0 && !text.ends_with("\n\n") {}
    text
}

#[test]
fn changes_come_in_order_as_pages_and_the_cursor_goes_on() {
    let mut server = Server::start_with(FEED);
    let (client, consumer) = (server.client(), consumer(&server));
    let (path, _) = create(&client, "/Users", &user("ada"));
    client.patch(&path, &json!([{"op": "replace", "path": "active", "value": false}])).expect(200);
    let (other, _) = create(&client, "/Users", &user("bob"));
    client.delete(&other).expect(204);
    let all = events(&consumer, "wait=5&types=user.*");
    let all = match told(&all).len() {
        4 => all,
        _ => {
            server.until("all is written", |_| told(&events(&consumer, "types=user.*")).len() == 4);
            events(&consumer, "types=user.*")
        }
    };
    let expected = [
        ("user.created", &path),
        ("user.deactivated", &path),
        ("user.created", &other),
        ("user.deleted", &other),
    ];
    let expected: Vec<_> = expected.map(|(kind, path)| (kind.to_owned(), path.clone())).to_vec();
    assert_eq!(told(&all), expected);
    let mut seen = Vec::new();
    let mut page = events(&consumer, "limit=1&types=user.*");
    while !told(&page).is_empty() {
        seen.extend(told(&page));
        assert_eq!(page.body["events"][0]["specversion"], "1.0");
        page = events(&consumer, &format!("limit=1&types=user.*&after={}", page.text("/next")));
    }
    assert_eq!(seen, expected);
    let created = events(&consumer, "types=user.created&connection=default");
    assert_eq!(told(&created).len(), 2);
    assert!(told(&events(&consumer, "connection=elsewhere")).is_empty());
    let before = all.body["events"].clone();
    server.stop();
    server.boot(&[]);
    assert_eq!(events(&consumer, "types=user.*").body["events"], before, "the same bytes");
}

#[test]
fn a_long_poll_waits_for_longer_than_a_request_may_take_and_answers_at_once() {
    let server = Server::start_with(&format!("{FEED}[limits]\nrequest_timeout = \"1s\"\n"));
    let (client, consumer) = (server.client(), consumer(&server));
    let after = now(&consumer);
    let begin = Instant::now();
    let idle = events(&consumer, &format!("after={after}&wait=3&types=user.*"));
    assert!(told(&idle).is_empty() && begin.elapsed() >= Duration::from_secs(3));
    let after = idle.text("/next").to_owned();
    let waiting = std::thread::spawn(move || {
        let page = events(&consumer, &format!("after={after}&wait=60&types=user.*"));
        (told(&page).len(), Instant::now())
    });
    std::thread::sleep(Duration::from_millis(1_500));
    let begin = Instant::now();
    create(&client, "/Users", &user("ada"));
    let (count, at) = waiting.join().unwrap();
    assert_eq!(count, 1);
    assert!(at.duration_since(begin) < Duration::from_secs(2), "{:?}", at.duration_since(begin));
}

#[test]
fn a_consumer_that_keeps_up_is_answered_once_in_8_milliseconds_if_it_may_wait() {
    let server = Server::start_with(FEED);
    let consumer = consumer(&server);
    let mut after = now(&consumer);
    for number in 0..20 {
        create(&server.client(), "/Users", &user(&format!("user{number}")));
    }
    let begin = Instant::now();
    for _ in 0..20 {
        let page = events(&consumer, &format!("after={after}&wait=60&limit=1&types=user.*"));
        assert_eq!(told(&page).len(), 1);
        after = page.text("/next").to_owned();
    }
    // Nineteen beats lie between the answers; the first may have come late.
    assert!(begin.elapsed() >= Duration::from_millis(120), "{:?}", begin.elapsed());
}

#[test]
fn what_is_asked_for_wrongly_is_a_problem_that_says_what_is_expected() {
    let server = Server::start_with(FEED);
    let consumer = consumer(&server);
    for (query, words) in [
        ("limit=0", "expected a whole number of 1 to 1000"),
        ("wait=61", "expected a whole number of 0 to 60"),
        ("afte=x", "did you mean \"after\"?"),
        ("after=x", "is no cursor"),
        ("types=user.born", "is no type of events"),
    ] {
        let detail = problem(&consumer.get(&format!("//events?{query}")), 400);
        assert!(detail.contains(words), "{query}: {detail}");
    }
    let foreign = problem(&consumer.get("//events?after=0123456789abcdef.1"), 410);
    assert!(foreign.contains("List all users and groups again"), "{foreign}");
    let ahead = now(&consumer).split('.').next().unwrap().to_owned();
    problem(&consumer.get(&format!("//events?after={ahead}.999999")), 410);
    assert!(
        problem(&server.client().get("//events"), 403).contains("requires the scope \"events\"")
    );
    assert_eq!(consumer.send("POST", "//events", Some(b"{}")).status, 405);
}

#[test]
fn a_list_and_the_feed_from_its_cursor_leave_no_gap() {
    let server = Server::start_with(FEED);
    let (client, consumer) = (server.client(), consumer(&server));
    let paths: Vec<String> =
        (0..4).map(|n| create(&client, "/Users", &user(&format!("u{n}"))).0).collect();
    let first = client.get("/Users?cursor=&count=2").expect(200);
    let cursor = first.header("scimd-cursor").to_owned();
    let id = |reply: &Reply, place: usize| {
        reply.body["Resources"][place]["id"].as_str().unwrap().to_owned()
    };
    let gone = format!("/Users/{}", id(&first, 0));
    client.delete(&gone).expect(204);
    let next =
        client.get(&format!("/Users?cursor={}&count=2", first.text("/nextCursor"))).expect(200);
    assert_eq!(next.body["Resources"].as_array().unwrap().len(), 2, "no entry is left out");
    assert!(next.headers.get("scimd-cursor").is_none());
    let followed = events(&consumer, &format!("after={cursor}&wait=10&types=user.*"));
    assert_eq!(told(&followed), [("user.deleted".to_owned(), gone)]);
    assert!(paths.iter().all(|path| path.starts_with("/Users/")));
    for other in ["/Users?cursor=&sortBy=userName", "/Users?startIndex=1", "/Users"] {
        assert!(client.get(other).expect(200).headers.get("scimd-cursor").is_none(), "{other}");
    }
}

#[test]
fn a_stream_goes_on_from_the_last_event_and_ends_when_the_server_stops() {
    let mut server = Server::start_with(FEED);
    let (client, consumer) = (server.client(), consumer(&server));
    let after = now(&consumer);
    let streaming = consumer.clone().header("Accept", "text/event-stream");
    let (status, stream) = streaming.open(&format!("/events?after={after}&types=user.*"));
    assert_eq!(status, 200);
    let mut stream = BufReader::new(stream);
    let (path, _) = create(&client, "/Users", &user("ada"));
    let event = next(&mut stream);
    let lines: Vec<&str> = event.lines().collect();
    assert_eq!(lines[1], "event: user.created", "{event}");
    let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(data["subject"], path.as_str());
    assert_eq!(lines[0], format!("id: {}", data["id"].as_str().unwrap()));
    drop(stream);
    client.delete(&path).expect(204);
    let id = lines[0].strip_prefix("id: ").unwrap();
    let resumed = streaming.header("Last-Event-ID", id);
    let (_, stream) = resumed.open(&format!("/events?after={after}&types=user.*"));
    let mut stream = BufReader::new(stream);
    let event = next(&mut stream);
    assert!(event.contains("event: user.deleted"), "{event}");
    let begin = Instant::now();
    server.stop();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(next(&mut stream), "");
}

#[test]
fn a_stream_without_events_sends_a_comment_with_the_cursor_after_15_seconds() {
    let server = Server::start_with(FEED);
    let consumer = consumer(&server);
    let (after, poll) = (now(&consumer), consumer.clone());
    let streaming = consumer.header("Accept", "text/event-stream");
    let begin = Instant::now();
    let (_, stream) = streaming.open(&format!("/events?after={after}&types=user.*"));
    let comment = next(&mut BufReader::new(stream));
    assert!(begin.elapsed() >= Duration::from_secs(14), "{:?}", begin.elapsed());
    let cursor = comment.strip_prefix(": waiting\nid: ").expect("a comment").trim_end();
    assert!(told(&events(&poll, &format!("after={cursor}&types=user.*"))).is_empty(), "{cursor}");
}

#[test]
fn a_stream_whose_consumer_does_not_read_ends_and_gives_its_seat_back() {
    let port = free_port();
    let config = format!(
        "{FEED}[limits]\nrequest_timeout = \"1s\"\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n"
    );
    let mut server = Server::start_with(&config);
    let client = server.client();
    // More than buffers take.
    let text = "x".repeat(60_000);
    for number in 0..300 {
        let mut user = user(&format!("user{number}"));
        user["title"] = json!(text);
        create(&client, "/Users", &user);
    }
    let bearer = format!("Bearer {}", token(&server, "feed"));
    let headers = [("Authorization", bearer.as_str()), ("Accept", "text/event-stream")];
    let mut raw = Raw::connect(&server);
    raw.write(head("GET", "/events", &headers));
    let waiting = |_: &Server| value(&scrape(port), "scimd_feed_consumers{application=\"feed\"}");
    server.until("it streams", |server| waiting(server) == 1.0);
    server.until("the stream is over", |server| waiting(server) == 0.0);
    let received = raw.rest();
    assert!(received.contains("event: user.created"), "{}", received.len());
    assert!(!received.contains("\"userName\":\"user299\""), "all was sent");
}

#[test]
fn after_a_revoke_or_a_reload_a_stream_sends_nothing_more() {
    let mut server = Server::start_with(FEED);
    let client = server.client();
    for (round, end) in ["revoke", "scope", "address"].into_iter().enumerate() {
        let consumer = consumer(&server);
        let after = now(&consumer);
        let streaming = consumer.header("Accept", "text/event-stream");
        let (_, stream) = streaming.open(&format!("/events?after={after}&types=user.*"));
        let mut stream = BufReader::new(stream);
        create(&client, "/Users", &user(&format!("before{round}")));
        assert!(next(&mut stream).contains("user.created"), "{end}");
        let listed: Vec<Value> =
            serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
        let id = listed.last().unwrap()["id"].as_str().unwrap().to_owned();
        let scopes = "[applications.feed]\nscopes = [\"events\"]\n";
        match end {
            "revoke" => drop(server.succeed(&["token", "revoke", &id])),
            "scope" => server.reconfigure(|text| text.replacen("\"events\"", "\"read\"", 1)),
            _ => server.reconfigure(|text| {
                text.replace(scopes, &format!("{scopes}ip_allowlist = \"192.0.2.1\"\n"))
            }),
        }
        create(&client, "/Users", &user(&format!("after{round}")));
        let rest = next(&mut stream);
        assert!(!rest.contains("event:"), "{end}: {rest}");
        if end == "scope" {
            server.reconfigure(|text| text.replacen("\"read\"", "\"events\"", 1));
        }
    }
}

#[test]
fn of_65_consumers_that_wait_one_is_refused_and_nobody_else_is_held_up() {
    let server =
        Server::start_with(&format!("{FEED}[limits]\nmax_connections_per_address = 300\n"));
    let token = token(&server, "feed");
    let after = now(&server.stranger().bearer(&token));
    let bearer = format!("Bearer {token}");
    let path = format!("/events?after={after}&wait=60&types=user.*");
    let waiting: Vec<Raw> = (0..64)
        .map(|_| {
            let mut raw = Raw::connect(&server);
            raw.write(head("GET", &path, &[("Authorization", bearer.as_str())]));
            raw
        })
        .collect();
    let consumer = server.stranger().bearer(&token);
    std::thread::sleep(Duration::from_millis(1_000));
    let refused = consumer.get(&format!("/{path}"));
    assert!(problem(&refused, 429).contains("64 consumers"), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "5");
    events(&consumer, &format!("after={after}"));
    let other = server.stranger().bearer(&self::token(&server, "other"));
    events(&other, &format!("after={after}&wait=1&types=user.*"));
    let begin = Instant::now();
    for n in 0..20 {
        create(&server.client(), "/Users", &user(&format!("u{n}")));
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    for mut raw in waiting {
        let reply = raw.read(false).unwrap();
        assert_eq!(reply.status, 200);
    }
    // All seats are free again.
    events(&consumer, &format!("after={}&wait=1&types=user.*", now(&consumer)));
}

#[test]
fn the_command_prints_what_an_application_sees_with_a_server_and_without() {
    let mut server = Server::start_with(FEED);
    let (client, consumer) = (server.client(), consumer(&server));
    let (path, _) = create(&client, "/Users", &user("ada"));
    client.delete(&path).expect(204);
    let after = now(&consumer);
    let seen = events(&consumer, "types=user.*");
    let printed = |server: &Server| -> Vec<Value> {
        let lines = server.succeed(&["events", "--types", "user.*", "--json"]);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(json!(printed(&server)), seen.body["events"]);
    let table = server.succeed(&["events", "--connection", "default"]);
    assert!(table.lines().next().unwrap().starts_with("TIME (UTC)"), "{table}");
    assert!(table.contains("user.created") && table.contains("ada"), "{table}");
    assert_eq!(server.succeed(&["events", "--after", &after, "--json"]), "");
    assert_eq!(server.run(&["events", "--after", "x"]).status.code(), Some(2));
    assert_eq!(server.run(&["events", "--types", "user.born"]).status.code(), Some(2));
    server.fail(&["events", "--after", "0123456789abcdef.1"], 1);
    server.stop();
    assert_eq!(json!(printed(&server)), seen.body["events"]);
    server.fail(&["events", "--follow"], 3);
    std::fs::remove_dir_all(server.data().join("feed")).unwrap();
    server.fail(&["events"], 3);
}

#[test]
fn after_a_restore_old_cursors_are_gone_and_the_feed_goes_on() {
    let mut server = Server::start_with(FEED);
    create(&server.client(), "/Users", &user("ada"));
    let token = token(&server, "feed");
    let before = now(&server.stranger().bearer(&token));
    server.succeed(&["backup", "saved"]);
    server.stop();
    std::fs::remove_dir_all(server.data()).unwrap();
    server.succeed(&["restore", "saved"]);
    server.boot(&[]);
    let consumer = server.stranger().bearer(&token);
    problem(&consumer.get(&format!("//events?after={before}")), 410);
    let after = now(&consumer);
    let (bob, _) = create(&server.client(), "/Users", &user("bob"));
    let page = events(&consumer, &format!("wait=5&types=user.*&after={after}"));
    assert_eq!(told(&page), [("user.created".to_owned(), bob)]);
    assert!(!server.stderr().contains("the change feed can't go on"), "{}", server.stderr());
}
