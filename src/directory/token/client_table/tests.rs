//! Access tokens in the course of time, and who gets them.

use super::*;
use crate::connection::access_token::AccessTokenKey;

const HOUR: i64 = 3_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn client(id: &str) -> Client {
    Client {
        id: id.to_owned(),
        connection: "c".to_owned(),
        created: at(0),
        expires: None,
        last_used: None,
        proof: ClientProof::Secret(TokenSecret::from_random([1; 32]).digest()),
        generation: 1,
        description: None,
    }
}

fn issuer(hours: i64) -> AccessTokenIssuer {
    let lifetime = Duration::from_secs(u64::try_from(hours * HOUR).unwrap());
    AccessTokenIssuer::new(AccessTokenKey::new(&[7; 32]), lifetime)
}

/// A table with one client.
fn table() -> ClientTable {
    let table = ClientTable::default();
    table.write().insert(client("client-a"));
    table.issue_with(issuer(2), at(0));
    table
}

fn opens(table: &ClientTable, token: &AccessToken, second: i64) -> bool {
    table.authenticate(&token.secret.digest(), at(second)).is_ok()
}

fn digests(table: &ClientTable) -> usize {
    let clients = table.read();
    let of_clients: usize = clients.by_id.values().map(|live| live.digests.len()).sum();
    assert_eq!(of_clients, clients.by_digest.len());
    clients.by_digest.len()
}

#[test]
fn a_token_opens_for_its_lifetime_whatever_else_is_asked_for() {
    let table = table();
    let token = table.issue("client-a", at(10)).unwrap();
    assert_eq!(token.expires_in, 2 * HOUR);
    for second in [10, 299, 301, HOUR, 10 + 2 * HOUR - 1] {
        assert!(opens(&table, &token, second), "{second}");
    }
    assert!(!opens(&table, &token, 2 * HOUR + 300), "a period later at most");
    assert!(!opens(&table, &token, 3 * HOUR));
}

#[test]
fn a_token_outlives_a_restart_and_opens_on_a_node_that_has_not_seen_its_period() {
    let token = table().issue("client-a", at(400)).unwrap();
    let other = table();
    assert!(opens(&other, &token, 401), "behind by a period");
    let later = ClientTable::default();
    later.write().insert(client("client-a"));
    later.issue_with(issuer(2), at(HOUR));
    assert!(opens(&later, &token, HOUR));
}

#[test]
fn ten_thousand_token_requests_leave_nothing_that_grows() {
    let table = table();
    let mut most = 0;
    for second in (0..10_000).map(|number| number * 10) {
        table.issue("client-a", at(second)).unwrap();
        most = most.max(digests(&table));
    }
    assert_eq!(most, 2 * 12 + 1, "a digest for each period that is valid");
}

#[test]
fn tokens_die_with_their_client() {
    let table = table();
    let token = table.issue("client-a", at(0)).unwrap();
    table.write().remove("client-a");
    assert!(!opens(&table, &token, 1));
    assert_eq!(digests(&table), 0);
    assert_eq!(table.issue("client-a", at(1)).err(), Some(NoAccessToken::Unknown));
}

#[test]
fn tokens_of_a_trust_die_with_it_and_it_is_no_client() {
    let table = table();
    let trust = ProvenClient {
        id: "federation-c-1".to_owned(),
        owner: TokenOwner::Connection("c".to_owned()),
    };
    let stored = |generation| {
        let proof = ClientProof::Federation;
        table.write().insert(Client { proof, generation, ..client(&trust.id) });
    };
    stored(1);
    assert!(table.trusts_are(std::slice::from_ref(&trust)) && !table.trusts_are(&[]));
    let token = table.issue(&trust.id, at(0)).unwrap();
    table.distrust_others(std::slice::from_ref(&trust));
    assert!(opens(&table, &token, 1) && table.is_valid(&trust.id, at(1)));
    assert_eq!(table.list().len(), 1);
    assert_eq!(table.check_secret(&trust.id, "", at(1)), Err(InvalidClient::Unknown));
    assert!(table.keys(&trust.id).is_err());
    table.distrust_others(&[]);
    assert!(!opens(&table, &token, 1) && !table.is_valid(&trust.id, at(1)));
    stored(2);
    assert!(!opens(&table, &token, 1), "another generation");
    assert!(table.issue("client-a", at(1)).is_ok());
}

#[test]
fn no_token_outlives_the_end_of_its_client() {
    let table = table();
    table.write().insert(Client { expires: Some(at(100)), ..client("client-b") });
    let token = table.issue("client-b", at(40)).unwrap();
    assert_eq!(token.expires_in, 60);
    assert!(opens(&table, &token, 99) && !opens(&table, &token, 100));
    let secret = TokenSecret::from_random([1; 32]);
    let check = |second| table.check_secret("client-b", secret.expose(), at(second));
    assert!(check(99).is_ok());
    assert!(matches!(check(100), Err(InvalidClient::Expired { .. })));
}

#[test]
fn a_shorter_lifetime_ends_tokens_that_were_issued() {
    let table = table();
    let token = table.issue("client-a", at(0)).unwrap();
    table.set_lifetime(Duration::from_secs(HOUR as u64), at(1));
    assert!(opens(&table, &token, HOUR) && !opens(&table, &token, HOUR + 300));
}

#[test]
fn a_clock_that_is_set_back_makes_no_token_live_longer() {
    let table = table();
    let token = table.issue("client-a", at(0)).unwrap();
    table.issue("client-a", at(10 * HOUR)).unwrap();
    assert!(opens(&table, &token, HOUR), "as it would have been");
    assert_eq!(digests(&table), 25);
}

#[test]
fn a_client_may_ask_for_so_many_tokens_a_minute() {
    let table = table();
    let allowed = (0..=TOKENS_PER_MINUTE).take_while(|_| table.issue("client-a", at(0)).is_ok());
    assert_eq!(allowed.count() as u64, TOKENS_PER_MINUTE);
    let wait = table.issue("client-a", at(0)).err();
    assert_eq!(wait, Some(NoAccessToken::TooMany(Duration::from_millis(COST))));
    assert!(table.issue("client-a", at(1)).is_ok());
}

#[test]
fn only_the_secret_of_the_client_proves_it() {
    let table = table();
    let right = TokenSecret::from_random([1; 32]);
    let other = TokenSecret::from_random([2; 32]);
    let check = |id: &str, secret: &str| table.check_secret(id, secret, at(0));
    assert!(check("client-a", right.expose()).is_ok());
    assert_eq!(check("client-b", right.expose()), Err(InvalidClient::Unknown));
    for wrong in [other.expose(), "", "secret"] {
        assert!(matches!(check("client-a", wrong), Err(InvalidClient::Secret { .. })));
    }
}
