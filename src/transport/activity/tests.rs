//! Each phase, its limits, and what moves a connection from one to another.

use super::*;

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        max_connections: 1,
        max_connections_per_address: 1,
        trusted_proxies: crate::connection::AddressSet::default(),
        handshake_timeout: Duration::from_secs(5),
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(20),
        max_header_bytes: 8192,
    }
}

/// Whole seconds from the cell's creation to the end of what it is doing now.
fn remaining(activity: &Activity) -> Option<u64> {
    match activity.verdict(&limits(), activity.epoch) {
        Verdict::Until(end) => Some((end - activity.epoch).as_secs()),
        Verdict::Unlimited => None,
        Verdict::Quiet(why) | Verdict::Exceeded(why) => panic!("{why}"),
    }
}

#[test]
fn each_phase_has_its_limit() {
    let activity = Arc::new(Activity::new());
    assert_eq!(remaining(&activity), None);
    activity.begin();
    assert_eq!(remaining(&activity), Some(5));
    activity.received();
    assert_eq!(remaining(&activity), Some(10));
    let call = activity.call();
    activity.received();
    assert_eq!(remaining(&activity), None, "a body is the service's business");
    drop(call);
    assert_eq!(remaining(&activity), None);
    activity.wrote(&Poll::Pending);
    assert_eq!(remaining(&activity), Some(30));
    activity.wrote(&Poll::Ready(Ok(1)));
    assert_eq!(remaining(&activity), None);
    activity.flushed();
    assert_eq!(remaining(&activity), Some(60));
    activity.received();
    assert_eq!(remaining(&activity), Some(10));
    let end = activity.epoch + Duration::from_secs(11);
    assert!(matches!(activity.verdict(&limits(), end), Verdict::Exceeded(_)));
}

#[test]
fn a_response_must_be_taken_at_a_least_rate() {
    let activity = Arc::new(Activity::new());
    activity.begin();
    drop(activity.call());
    activity.wrote(&Poll::Pending);
    activity.wrote(&Poll::Ready(Ok(10 * LEAST_RATE as usize)));
    activity.wrote(&Poll::Pending);
    assert_eq!(remaining(&activity), Some(30), "it has not been silent for longer");
    // It took something at the 35th second, and no more than for ten.
    activity.stalled.store(35_000_000, Relaxed);
    assert_eq!(remaining(&activity), Some(40));
    let end = activity.epoch + Duration::from_secs(41);
    assert!(matches!(activity.verdict(&limits(), end), Verdict::Exceeded(_)));
    activity.wrote(&Poll::Ready(Ok(LEAST_RATE as usize)));
    activity.flushed();
    drop(activity.call());
    activity.wrote(&Poll::Pending);
    assert_eq!(remaining(&activity), Some(30), "each response has its own clock");
}

#[test]
fn a_stream_without_events_leaves_nothing_of_its_slow_moments() {
    let activity = Arc::new(Activity::new());
    activity.begin();
    let _body = activity.call().respond(());
    activity.wrote(&Poll::Pending);
    activity.has_no_more();
    assert_ne!(activity.pressed.load(Relaxed), FLOWING, "the peer has not taken all");
    activity.wrote(&Poll::Ready(Ok(1)));
    activity.has_no_more();
    assert_eq!(activity.pressed.load(Relaxed), FLOWING);
    assert_eq!(remaining(&activity), None);
    activity.wrote(&Poll::Pending);
    assert_eq!(remaining(&activity), Some(30));
}

#[test]
fn a_flush_between_chunks_does_not_end_a_response() {
    let activity = Arc::new(Activity::new());
    activity.begin();
    let body = activity.call().respond(());
    activity.flushed();
    activity.received();
    assert_eq!(remaining(&activity), None, "what comes belongs to the next request");
    drop(body);
    activity.flushed();
    assert_eq!(remaining(&activity), Some(10));
}

#[test]
fn a_request_sent_ahead_counts_once_the_response_is_out() {
    let activity = Arc::new(Activity::new());
    activity.begin();
    drop(activity.call());
    activity.received();
    assert_eq!(remaining(&activity), None);
    activity.flushed();
    assert_eq!(remaining(&activity), Some(10));
    drop(activity.call());
    activity.flushed();
    assert_eq!(remaining(&activity), Some(60), "the mark is gone after the call");
}

#[test]
fn draining_shortens_silence_only() {
    let activity = Arc::new(Activity::new());
    activity.begin();
    activity.drain();
    assert_eq!(remaining(&activity), Some(1));
    activity.received();
    assert_eq!(remaining(&activity), Some(10));
    let call = activity.call();
    assert!(call.is_last());
    drop(call);
    activity.flushed();
    assert_eq!(remaining(&activity), Some(0));
    let end = activity.epoch + Duration::from_secs(1);
    assert!(matches!(activity.verdict(&limits(), end), Verdict::Quiet(_)));
}
