//! What those get who are refused again and again, and who have asked enough for a day.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Raw, RawReply, Server, total, user};

/// Requests without a token, one after the other; their answers.
fn refused(raw: &mut Raw, times: usize) -> Vec<RawReply> {
    (0..times).map(|_| raw.ask::<&str>("GET", "/scim/v2/Users", &[])).collect()
}

/// The seconds that an answer tells to wait.
fn wait(reply: &RawReply) -> u64 {
    assert_eq!(reply.status, 429, "{}", reply.head);
    reply.header("retry-after").expect("how long to wait").parse().unwrap()
}

/// Waits until a day of UTC has some time left.
fn not_at_midnight() {
    let left = || 86_400 - jiff::Timestamp::now().as_second() % 86_400;
    while left() < 60 {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn an_address_is_refused_ten_times_a_minute_and_then_told_to_wait() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    let replies = refused(&mut raw, 11);
    assert!(replies[..10].iter().all(|reply| reply.status == 401));
    assert!((1..=6).contains(&wait(&replies[10])));
    assert!(replies[10].detail(429).contains("Too many failed"));
    let (mut other, client) = (Raw::connect(&server), server.client());
    assert_eq!(refused(&mut other, 1)[0].status, 429, "it is the address, not the connection");
    client.get("/Users").expect(200);
    assert_eq!(refused(&mut raw, 1)[0].status, 429, "who is let in does not help who is not");
    client.get("/Users").expect(200);
}

#[test]
fn being_told_to_wait_tells_nothing_of_what_was_sent() {
    let server = Server::start_with("[limits]\nmax_refusals_per_minute = 1");
    let revoked = server.succeed(&["token", "generate"]).trim().to_owned();
    let listed: serde_json::Value =
        serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
    server.succeed(&["token", "revoke", listed[1]["id"].as_str().unwrap()]);
    let mut raw = Raw::connect(&server);
    assert_eq!(refused(&mut raw, 1)[0].status, 401);
    let first = refused(&mut raw, 1).remove(0);
    let without_wait = |reply: &RawReply| {
        let lines = reply.head.lines().filter(|line| !line.starts_with("retry-after: "));
        (lines.collect::<Vec<_>>().join("\n"), reply.body.clone())
    };
    let right = format!("Bearer {}", server.token());
    let bearers = ["Bearer null".to_owned(), format!("Bearer {revoked}"), right.clone()];
    for (bearer, origin) in bearers.iter().zip(["localhost", "localhost", "elsewhere"]) {
        for path in ["/scim/v2/Users", "/nothing"] {
            let headers = [("Authorization", bearer.as_str()), ("X-Request-Origin", origin)];
            let reply = raw.ask("GET", path, &headers);
            assert_eq!(without_wait(&reply), without_wait(&first), "{bearer}, {origin}");
        }
    }
    let headers = [("Authorization", right.as_str()), ("X-Request-Origin", "localhost")];
    assert_eq!(raw.ask("GET", "/scim/v2/Users", &headers).status, 200);
}

#[test]
fn what_counts_is_the_address_behind_a_trusted_proxy_and_the_64_of_ipv6() {
    let server = Server::start_with(
        "[limits]\nmax_refusals_per_minute = 1\n[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n",
    );
    let mut raw = Raw::connect(&server);
    let mut from =
        |address: &str| raw.ask("GET", "/scim/v2/Users", &[("X-Forwarded-For", address)]).status;
    for (address, status) in [
        ("192.0.2.1", 401),
        ("192.0.2.1", 429),
        ("::ffff:192.0.2.1", 429),
        ("192.0.2.2", 401),
        ("2001:db8:1:2::1", 401),
        ("2001:db8:1:2:ffff::9", 429),
        ("2001:db8:1:3::1", 401),
    ] {
        assert_eq!(from(address), status, "{address}");
    }
}

#[test]
fn a_burst_of_refusals_is_a_line_and_a_number() {
    let mut server = Server::start();
    refused(&mut Raw::connect(&server), 50);
    server.stranger().bearer("null").get("/Users").error(429, None);
    let log = server.stop();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("denied")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].contains("address=127.0.0.1 status=401 reason=\"no bearer token was sent\""));
    assert!(lines[1].contains("status=429 reason=\"what was sent is not a scimd token"));
    let again = ["denied (repeated)", "address=127.0.0.1", "count=49", "reason=\"no_token\""];
    assert!(again.iter().all(|word| lines[2].contains(word)), "{}", lines[2]);
}

#[test]
fn a_connection_has_its_requests_of_the_day_and_the_others_have_theirs() {
    not_at_midnight();
    let limited = "[connections.limited]\nmethod = \"okta-custom\"\ndaily_requests = 5\n";
    let free = "[connections.free]\nmethod = \"okta-custom\"\n";
    let mut server = Server::start_with(&format!("{limited}{free}"));
    let generate = |name| server.succeed(&["token", "generate", "--connection", name]);
    let (limited, free) = (generate("limited"), generate("free"));
    let (limited, free) = (server.client_with(limited.trim()), server.client_with(free.trim()));
    for path in ["/Users", "/Users", "/nothing/at/all", "/Users/x", "/Users"] {
        assert_ne!(limited.get(path).status, 429, "{path}");
    }
    for _ in 0..3 {
        let reply = limited.get("/Users");
        assert!(reply.error(429, None).contains("its 5 requests for today"), "{}", reply.body);
        let wait: i64 = reply.header("retry-after").parse().unwrap();
        let left = 86_400 - jiff::Timestamp::now().as_second() % 86_400;
        assert!((left..left + 30).contains(&wait), "{wait}, and midnight is in {left}");
    }
    for _ in 0..10 {
        free.get("/Users").expect(200);
    }
    let log = server.stop();
    assert_eq!(log.matches("daily quota used up").count(), 1, "{log}");
    server.boot(&[]);
    limited.get("/Users").expect(200);
}

#[test]
fn the_operations_of_a_bulk_request_are_requests_of_the_day_all_or_none() {
    not_at_midnight();
    let server = Server::start_with(
        "[connections.default]\nmethod = \"okta-custom\"\ndaily_requests = 10\n",
    );
    let client = server.client();
    let bulk = |count: usize, from: usize| {
        let one = |number: usize| {
            json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(),
                "data": user(&format!("user{number}"))})
        };
        let operations: Vec<_> = (from..from + count).map(one).collect();
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations})
    };
    client.post("/Bulk", &bulk(6, 0)).expect(200);
    let refused = client.post("/Bulk", &bulk(5, 10));
    assert!(refused.error(429, None).contains("its 10 requests for today"), "{}", refused.body);
    client.post("/Bulk", &bulk(2, 20)).expect(200);
    assert_eq!(total(&client), 8, "nothing of the one that was refused was done");
    client.get("/Users").error(429, None);
}

#[test]
fn a_reload_changes_these_limits_and_forgets_no_count() {
    not_at_midnight();
    let mut server = Server::start_with(
        "[connections.default]\nmethod = \"okta-custom\"\ndaily_requests = 2\n\
         [limits]\nmax_refusals_per_minute = 1\n",
    );
    let (client, stranger) = (server.client(), server.stranger());
    client.get("/Users").expect(200);
    stranger.get("/Users").error(401, None);
    server.reconfigure(|text| {
        text.replace("daily_requests = 2", "daily_requests = 3").replace("minute = 1", "minute = 0")
    });
    for status in [200, 200, 429] {
        assert_eq!(client.get("/Users").status, status);
        stranger.get("/Users").error(401, None);
    }
    server.reconfigure(|text| text.replace("minute = 0", "minute = 1"));
    stranger.get("/Users").error(429, None);
}
