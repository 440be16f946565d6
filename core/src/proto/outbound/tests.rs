//! The queue by itself: acknowledges, resending, and what gives a sample.

use super::*;

fn frame(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[n])
}

fn queue(count: u8) -> Outbound {
    let mut outbound = Outbound::new(Window::new(1 << 20, 1 << 20));
    for n in 0..count {
        outbound.push(frame(n), 1);
    }
    outbound
}

fn drain_expired(outbound: &mut Outbound, now: Instant) -> Vec<Bytes> {
    std::iter::from_fn(|| outbound.poll_expired(now)).collect()
}

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    Instant::now()
}

#[test]
fn acknowledges_count_in_any_order_and_unknown_ones_do_not() {
    let now = start();
    let mut outbound = queue(3);
    while outbound.poll_new(now).is_some() {}
    assert!(outbound.acknowledge(now, 1));
    assert!(!outbound.acknowledge(now, 1));
    assert!(!outbound.acknowledge(now, 3));
    assert!(!outbound.acknowledge(now, -1));
    assert!(!outbound.acknowledge(now, i64::MIN));
    assert_eq!((outbound.len(), outbound.payload_bytes()), (3, 2));
    assert!(outbound.acknowledge(now, 0));
    assert_eq!((outbound.len(), outbound.payload_bytes()), (1, 1));
    assert!(outbound.acknowledge(now, 2));
    assert!(outbound.is_empty());
}

#[test]
fn an_acknowledge_of_what_was_never_sent_is_noise() {
    let mut outbound = queue(1);
    assert!(!outbound.acknowledge(start(), 0));
    assert_eq!(outbound.poll_new(start()), Some(frame(0)));
}

#[test]
fn every_overdue_message_is_sent_again_and_each_wait_is_longer() {
    let now = start();
    let mut outbound = queue(3);
    while outbound.poll_new(now).is_some() {}
    let at = outbound.resend_deadline().expect("three are waiting");
    assert_eq!(at, now + Duration::from_millis(200));
    assert!(drain_expired(&mut outbound, at - Duration::from_millis(1)).is_empty());
    assert_eq!(drain_expired(&mut outbound, at), [frame(0), frame(1), frame(2)]);
    assert!(drain_expired(&mut outbound, at).is_empty());
    assert_eq!(outbound.resend_deadline(), Some(at + Duration::from_millis(400)));
    assert_eq!(outbound.resent(), 3);
}

#[test]
fn a_round_of_resending_is_bounded() {
    let now = start();
    let mut outbound = queue(200);
    while outbound.poll_new(now).is_some() {}
    let at = now + Duration::from_millis(200);
    assert_eq!(drain_expired(&mut outbound, at).len(), RESENDS_PER_TICK);
    assert!(drain_expired(&mut outbound, at + RESEND_TICK / 2).is_empty());
}

#[test]
fn a_new_connection_sends_everything_unacknowledged_in_order() {
    let now = start();
    let mut outbound = queue(3);
    while outbound.poll_new(now).is_some() {}
    outbound.acknowledge(now, 1);
    outbound.restart(now);
    outbound.push(frame(3), 1);
    let sent: Vec<_> = std::iter::from_fn(|| outbound.poll_new(now)).collect();
    assert_eq!(sent, [frame(0), frame(2), frame(3)]);
}

#[test]
fn a_message_that_may_only_be_queued_is_not_sent_again_while_acknowledges_come() {
    let mut now = start();
    let mut outbound = queue(200);
    while outbound.poll_new(now).is_some() {}
    for sequence in 0..200 {
        now += Duration::from_millis(150);
        assert!(drain_expired(&mut outbound, now).is_empty());
        assert!(outbound.acknowledge(now, sequence));
    }
    assert_eq!(outbound.resent(), 0);
}

#[test]
fn a_message_that_was_overtaken_is_sent_again_though_acknowledges_come() {
    let mut now = start();
    let mut outbound = queue(200);
    while outbound.poll_new(now).is_some() {}
    let mut again = Vec::new();
    for sequence in 1..100 {
        now += Duration::from_millis(50);
        assert!(outbound.acknowledge(now, sequence));
        again.extend(drain_expired(&mut outbound, now));
    }
    assert!(!again.is_empty() && again.iter().all(|again| *again == frame(0)));
}

#[test]
fn a_far_end_that_stands_still_gets_little_twice() {
    let now = start();
    let mut outbound = Outbound::new(Window::new(1 << 20, 1 << 20));
    for n in 0..20 {
        outbound.push(frame(n), 16 << 10);
    }
    while outbound.poll_new(now).is_some() {}
    let again: usize = (0..3000).map(|n| drain_expired(&mut outbound, now + RESEND_TICK * n).len()).sum();
    assert!((10..100).contains(&again), "{again} in five minutes");
}

#[test]
fn what_was_held_up_gives_no_sample() {
    let now = start();
    let mut outbound = queue(2);
    while outbound.poll_new(now).is_some() {}
    outbound.ignore_delays();
    outbound.acknowledge(now + Duration::from_secs(9), 0);
    assert_eq!(outbound.rtt().timeout(), Duration::from_millis(200));
    outbound.push(frame(2), 1);
    outbound.poll_new(now);
    outbound.acknowledge(now + Duration::from_secs(9), 2);
    assert!(outbound.rtt().timeout() > Duration::from_millis(200));
}

#[test]
fn a_resent_message_gives_no_sample() {
    let now = start();
    let mut outbound = queue(1);
    outbound.poll_new(now);
    assert_eq!(drain_expired(&mut outbound, now + Duration::from_millis(200)).len(), 1);
    outbound.acknowledge(now + Duration::from_secs(9), 0);
    assert_eq!(outbound.rtt().timeout(), Duration::from_millis(200));
}

/// A queue of messages that each fill a probe, all of them sent.
fn large(now: Instant, count: u8) -> Outbound {
    let mut outbound = Outbound::new(Window::new(8 << 20, 8 << 20));
    for n in 0..count {
        outbound.push(frame(n), PROBE_BYTES);
    }
    while outbound.poll_new(now).is_some() {}
    outbound
}

#[test]
fn a_lost_tail_is_not_probed_to_its_end() {
    let begin = start();
    let mut outbound = large(begin, 100);
    let mut now = begin;
    while !outbound.is_empty() {
        now = outbound.resend_deadline().expect("something is waited for");
        for frame in drain_expired(&mut outbound, now) {
            assert!(outbound.acknowledge(now + Duration::from_millis(1), frame[0].into()));
        }
    }
    assert!(now < begin + Duration::from_secs(10), "{:?}", now - begin);
    assert_eq!(outbound.resent(), 100);
}

#[test]
fn what_a_new_connection_has_lost_shows_by_what_arrives_later() {
    let now = start();
    let mut outbound = large(now, 50);
    outbound.restart(now);
    while outbound.poll_new(now).is_some() {}
    for sequence in 20..50 {
        assert!(outbound.acknowledge(now + Duration::from_millis(1), sequence));
    }
    let late = now + Duration::from_secs(2);
    assert_eq!(drain_expired(&mut outbound, late).len(), 20);
}
