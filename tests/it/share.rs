//! What one client leaves for the others: connections, memory and turns.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::{Client, Raw, Reply, Server, head, total, user};

/// A figure of the server's process in KiB, as the kernel counts it.
fn kib(server: &Server, figure: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// How many MiB more the process needs for some work, at most.
fn mib_for(server: &Server, work: impl FnOnce()) -> usize {
    // Sets the peak back to the present.
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    let before = kib(server, "VmRSS");
    work();
    kib(server, "VmHWM").saturating_sub(before) / 1024
}

/// The headers of a client with the token of the first boot.
fn credentials(server: &Server) -> Vec<(&'static str, String)> {
    with_token(server.token())
}

/// The headers of a client with a token.
fn with_token(token: &str) -> Vec<(&'static str, String)> {
    vec![("Authorization", format!("Bearer {token}")), ("X-Request-Origin", "localhost".to_owned())]
}

#[test]
fn a_body_in_chunks_of_one_byte_takes_no_more_memory_than_it_has_bytes() {
    const CLIENTS: usize = 4;
    let server = Server::start();
    total(&server.client());
    let mut headers = credentials(&server);
    headers.push(("Content-Type", "application/scim+json".to_owned()));
    headers.push(("Transfer-Encoding", "chunked".to_owned()));
    // The whole limit, but for the end.
    let chunks = "1\r\n \r\n".repeat(1024 * 1024 - 30);
    let mut clients = Vec::new();
    let taken = mib_for(&server, || {
        for _ in 0..CLIENTS {
            let mut raw = Raw::connect(&server);
            raw.write(head("POST", "/scim/v2/Users", &headers));
            raw.write(&chunks);
            clients.push(raw);
        }
    });
    assert!(taken <= 4 * CLIENTS, "{taken} MiB for {CLIENTS} bodies of 1 MiB");
    for (number, mut raw) in clients.into_iter().enumerate() {
        raw.write(format!("11\r\n{{\"userName\":\"u{number}\"}}\r\n0\r\n\r\n"));
        assert_eq!(raw.reply().status, 201);
    }
}

/// A TCP connection from an address of this machine.
fn connect_from(server: &Server, address: [u8; 4]) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(IpAddr::from(address), 0)).unwrap();
        let to = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), server.port());
        let stream = socket.connect(to).await.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    })
}

#[test]
fn sockets_of_strangers_keep_no_client_with_a_token_out() {
    let mut server = Server::start();
    let mut known = Raw::known(&server);
    // More than max_connections, none from an address beyond max_connections_per_address.
    let strangers: Vec<TcpStream> =
        (0..820).map(|number| connect_from(&server, [127, 0, 0, 2 + (number % 4) as u8])).collect();
    for _ in 0..5 {
        assert_eq!(total(&server.client()), 0);
    }
    let headers = credentials(&server);
    assert_eq!(known.ask("GET", "/scim/v2/Users", &headers).status, 200, "it was never displaced");
    drop(strangers);
    let log = server.stop();
    assert!(log.contains("closed to admit others"), "{log}");
    assert!(!log.contains("too many connections are open"), "{log}");
}

#[test]
fn when_all_connections_are_known_the_next_is_refused() {
    let server = Server::start_with("[limits]\nmax_connections = 3");
    let mut known: Vec<Raw> = (0..3).map(|_| Raw::known(&server)).collect();
    assert!(Raw::try_connect(&server).is_err());
    let headers = credentials(&server);
    for raw in &mut known {
        assert_eq!(raw.ask("GET", "/scim/v2/Users", &headers).status, 200);
    }
}

#[test]
fn a_connection_ends_with_the_answer_to_a_stranger_and_stays_for_a_known_client() {
    let server = Server::start();
    let right = credentials(&server);
    let wrong = vec![("Authorization", "Bearer nonsense".to_owned())];
    for (path, headers) in [("/healthz", &vec![]), ("/scim/v2/Users", &wrong)] {
        let mut raw = Raw::connect(&server);
        let reply = raw.ask("GET", path, headers);
        assert_eq!(reply.header("connection"), Some("close"), "{path}");
        assert_eq!(raw.rest(), "");
    }
    let mut raw = Raw::connect(&server);
    for path in ["/scim/v2/Users", "/healthz", "/scim/v2/nothing"] {
        assert_eq!(raw.ask("GET", path, &right).header("connection"), None, "{path}");
    }
    assert_eq!(raw.ask("GET", "/scim/v2/Users", &wrong).header("connection"), Some("close"));
}

#[test]
fn a_new_connection_has_five_seconds_for_its_first_byte() {
    let server = Server::start();
    let (mut silent, mut late) = (Raw::connect(&server), Raw::connect(&server));
    let watch = scimd::clock::Stopwatch::start();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(late.ask::<&str>("GET", "/healthz", &[]).status, 200);
    assert_eq!(silent.rest(), "");
    // Fewer than header_timeout, which is 10 seconds.
    assert!((4_500..9_000).contains(&watch.elapsed().as_millis()), "{:?}", watch.elapsed());
}

/// Two connections, the second one for those who are to be left alone.
const TWO: &str = "[connections.loud]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
    [connections.quiet]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
    [limits]\nmax_resource_bytes = 1048576\nmax_body_bytes = 2097152\n";

/// The tokens of [`TWO`].
fn two(server: &Server) -> [String; 2] {
    ["loud", "quiet"]
        .map(|name| server.succeed(&["token", "generate", "--connection", name]).trim().to_owned())
}

/// Creates users of about so many bytes each.
fn large_users(client: &Client, count: usize, bytes: usize) {
    for number in 0..count {
        let mut body = user(&format!("large{number}"));
        body["title"] = "x".repeat(bytes).into();
        client.post("/Users", &body).expect(201);
    }
}

/// Requests a path over a connection of its own, and reads nothing.
fn ask_and_leave(server: &Server, token: &str, path: &str) -> Raw {
    let mut raw = Raw::connect(server);
    raw.write(head("GET", path, &with_token(token)));
    raw
}

#[test]
fn a_page_ends_at_8_mib_and_the_next_goes_on_where_it_ended() {
    let server =
        Server::start_with("[limits]\nmax_resource_bytes = 1048576\nmax_body_bytes = 2097152\n");
    let client = server.client();
    large_users(&client, 12, 900_000);
    let names = |reply: &Reply| -> Vec<String> {
        let resources = reply.body["Resources"].as_array().unwrap();
        assert_eq!(reply.body["totalResults"], 12);
        assert_eq!(reply.body["itemsPerPage"], resources.len());
        assert!(reply.body.to_string().len() <= 8 * 1024 * 1024);
        resources.iter().map(|one| one["userName"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<String> = (0..12).map(|number| format!("large{number}")).collect();
    for query in ["", "&filter=userName+sw+%22large%22", "&filter=title+pr&sortBy=meta.created"] {
        let first = client.get(&format!("/Users?count=100{query}")).expect(200);
        // Nine are 8.1 million bytes, and ten more than 8 MiB.
        assert_eq!(names(&first), all[..9], "{query}");
        let rest = client.get(&format!("/Users?count=100&startIndex=10{query}")).expect(200);
        assert_eq!(names(&rest), all[9..], "{query}");
        let mut found = Vec::new();
        let mut cursor = Some(String::new());
        while let Some(from) = cursor {
            let page = client.get(&format!("/Users?count=100&cursor={from}{query}")).expect(200);
            found.extend(names(&page));
            cursor = page.body["nextCursor"].as_str().map(ToOwned::to_owned);
        }
        assert_eq!(found, all, "{query}");
    }
}

#[test]
#[ignore = "measures memory, and needs the machine to itself; .ci/run runs it alone"]
fn unread_answers_stay_within_the_memory_and_leave_another_connection_its_share() {
    let server = Server::start_with(TWO);
    let [loud, quiet] = two(&server);
    let client = server.client_with(&quiet);
    large_users(&client, 10, 900_000);
    client.get("/Users").expect(200);
    server.wait_until_idle();
    let headers = with_token(&loud);
    let mut left: Vec<Raw> = (0..60).map(|_| Raw::connect(&server)).collect();
    for raw in &mut left {
        assert_eq!(raw.ask("GET", "/scim/v2/Users?count=0", &headers).status, 200);
    }
    let taken = mib_for(&server, || {
        left.iter_mut().for_each(|raw| raw.write(head("GET", "/scim/v2/Users", &headers)));
        std::thread::sleep(Duration::from_secs(2));
        let reply = client.get("/Users").expect(200);
        assert_eq!(reply.body["itemsPerPage"], 9);
    });
    println!("{taken} MiB for 60 answers of 8 MiB");
    // Of the loud connection its share, and one of the other connection: 55 to 66 MiB.
    assert!(taken <= 80, "{taken} MiB for 60 answers of 8 MiB");
    drop(left);
    client.get("/Users").expect(200);
}

#[test]
fn many_large_answers_at_once_take_little_memory() {
    const CLIENTS: usize = 32;
    let server = Server::start_with(TWO);
    let [loud, quiet] = two(&server);
    large_users(&server.client_with(&quiet), 10, 380_000);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let reply = server.client_with(&loud).get("/Users?count=100").expect(200);
                assert_eq!(reply.body["itemsPerPage"], 10);
            });
        }
    });
    let most = kib(&server, "VmHWM") / 1024;
    assert!(most < 250, "{most} MiB resident");
}

#[test]
fn a_long_list_of_members_is_sent_in_chunks_and_is_all_there() {
    const MEMBERS: usize = 6_000;
    let server = Server::start();
    let client = server.client();
    let (path, ids) = crate::large::large(&client, MEMBERS);
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    let group = client.get(&path).expect(200);
    assert_eq!(group.header("transfer-encoding"), "chunked");
    let filter = "/Groups?filter=displayName%20eq%20%22Large%22&startIndex=1&count=100";
    let found = client.get(filter).expect(200);
    assert_eq!(found.body["Resources"][0], group.body);
    assert_eq!(found.body["itemsPerPage"], 1);
    for query in [
        "",
        "?attributes=members",
        "?attributes=members.value",
        "?excludedAttributes=members.%24ref",
    ] {
        let shown = client.get(&format!("{path}{query}")).expect(200).body;
        let members = shown["members"].as_array().unwrap();
        let values: Vec<&str> = members.iter().map(|one| one["value"].as_str().unwrap()).collect();
        assert_eq!(values, ids, "{query}");
        assert_eq!(
            members[0].get("$ref").is_some(),
            !query.contains("value") && !query.contains("ref")
        );
        assert_eq!(shown["displayName"].is_string(), !query.starts_with("?attr"), "{query}");
    }
    let none = "?attributes=members%5Bvalue%20eq%20%22x%22%5D";
    assert_eq!(client.get(&format!("{path}{none}")).expect(200).body.get("members"), None);
}

#[test]
#[ignore = "takes minutes"]
fn a_group_of_250_000_members_is_looked_up_by_name_within_the_memory_for_answers() {
    let server =
        Server::start_with("[limits]\nmax_body_bytes = 16777216\n[store]\nmemory_mib = 512\n");
    let client = server.client();
    let ids = crate::large::users(&client, 250_000);
    let (path, _) =
        crate::harness::create(&client, "/Groups", &crate::harness::group("Large", &[]));
    for part in ids.chunks(10_000) {
        let members: Vec<_> = part.iter().map(|id| serde_json::json!({"value": id})).collect();
        let add = serde_json::json!([{"op": "add", "path": "members", "value": members}]);
        let excluded = format!("{path}?excludedAttributes=members");
        client.patch(&excluded, &add).expect(200);
    }
    server.wait_until_idle();
    let filter = "/Groups?filter=displayName%20eq%20%22Large%22&startIndex=1&count=100";
    let taken = mib_for(&server, || {
        let found = client.get(filter).expect(200);
        assert_eq!(found.body["Resources"][0]["members"].as_array().unwrap().len(), 250_000);
    });
    println!("{taken} MiB");
    assert!(taken <= 64, "{taken} MiB");
    let token = server.token().to_owned();
    let filter = format!("/scim/v2{filter}");
    let taken = mib_for(&server, || {
        let left: Vec<Raw> = (0..60).map(|_| ask_and_leave(&server, &token, &filter)).collect();
        std::thread::sleep(Duration::from_secs(10));
        drop(left);
    });
    println!("{taken} MiB for 60 that are not read");
    // Those in flight, and one that is being made.
    assert!(taken <= 64 + 32, "{taken} MiB for 60 that are not read");
}
