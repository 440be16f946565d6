//! What goes wrong with messages on their way: one direction of one session.
//!
//! Seeded: the same messages in the same order suffer the same. Knows the type of a message and nothing else of it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ssmwire::proto::Ids;
use ssmwire::proto::frame::OVERHEAD;
use tokio::time::Instant;

/// How many messages may be on their way at once; further ones are not delayed.
const DELAYED_MAX: usize = 1024;
/// How long a message waits for another that could overtake it.
const OVERTAKE_WAIT: Duration = Duration::from_millis(20);

/// How likely each message is to suffer what. Each probability is from 0 to 1; the default is no fault at all.
///
/// It applies to what travels between client and agent: data and acknowledges. What the service itself sends stays
/// whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disturbance {
    /// It is lost.
    pub drop: f64,
    /// It arrives twice.
    pub duplicate: f64,
    /// The next one overtakes it.
    pub reorder: f64,
    /// One bit of it is flipped, where the payload's digest tells.
    pub corrupt: f64,
    /// It comes late, by [`Self::delay_by`].
    pub delay: f64,
    /// How late.
    pub delay_by: Duration,
}

/// One direction of one session.
#[derive(Debug)]
pub(crate) struct Link {
    disturbance: Disturbance,
    random: Ids,
    overtaken: Option<(Instant, Bytes)>,
    delayed: VecDeque<(Instant, Bytes)>,
    arrived: VecDeque<Bytes>,
}

impl Link {
    /// Makes a link without faults whose later faults `seed` determines.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            disturbance: Disturbance::default(),
            random: Ids::new(seed),
            overtaken: None,
            delayed: VecDeque::new(),
            arrived: VecDeque::new(),
        }
    }

    /// Changes what goes wrong from now on.
    pub(crate) fn disturb(&mut self, disturbance: Disturbance) {
        self.disturbance = disturbance;
    }

    /// Sends a message off.
    pub(crate) fn handle_message(&mut self, now: Instant, message: Bytes) {
        if self.disturbance == Disturbance::default() || !is_end_to_end(&message) {
            self.arrived.push_back(message);
            return;
        }
        let Disturbance { drop, duplicate, reorder, corrupt, delay, delay_by } = self.disturbance;
        if self.happens(drop) {
            return;
        }
        let message = if self.happens(corrupt) { self.flip_a_bit(&message) } else { message };
        let copies = if self.happens(duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            if self.happens(delay) && self.delayed.len() < DELAYED_MAX {
                self.delayed.push_back((now + delay_by, message.clone()));
            } else if self.overtaken.is_none() && self.happens(reorder) {
                self.overtaken = Some((now + OVERTAKE_WAIT, message.clone()));
            } else {
                self.arrived.push_back(message.clone());
                self.arrived.extend(self.overtaken.take().map(|(_, message)| message));
            }
        }
    }

    /// Returns the next message that has arrived.
    pub(crate) fn poll_message(&mut self) -> Option<Bytes> {
        self.arrived.pop_front()
    }

    /// Lets arrive what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.overtaken.as_ref().is_some_and(|(at, _)| *at <= now) {
            self.arrived.extend(self.overtaken.take().map(|(_, message)| message));
        }
        while self.delayed.front().is_some_and(|(at, _)| *at <= now) {
            self.arrived.extend(self.delayed.pop_front().map(|(_, message)| message));
        }
    }

    /// Returns when [`Self::handle_timeout`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let delayed = self.delayed.front().map(|(at, _)| *at);
        self.overtaken.as_ref().map(|(at, _)| *at).into_iter().chain(delayed).min()
    }

    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && (self.random.number() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
    }

    fn flip_a_bit(&mut self, message: &Bytes) -> Bytes {
        // Only the payload has a digest; a message without one has nothing in which a fault could be noticed.
        let Some(payload_bytes) = message.len().checked_sub(OVERHEAD).filter(|length| *length > 0) else {
            return message.clone();
        };
        let number = self.random.number();
        let mut bytes = BytesMut::from(message.as_ref());
        bytes[OVERHEAD + (number >> 3) as usize % payload_bytes] ^= 1 << (number & 7);
        bytes.freeze()
    }
}

/// Returns whether a message has this type on the wire (PROTOCOL §3.1), without reading the rest of it.
pub(crate) fn has_type(message: &[u8], name: &str) -> bool {
    message.get(4..4 + name.len()) == Some(name.as_bytes())
}

fn is_end_to_end(message: &[u8]) -> bool {
    ["input_stream_data", "output_stream_data", "acknowledge"].iter().any(|name| has_type(message, name))
}

#[cfg(test)]
mod tests {
    use ssmwire::proto::{Frame, FrameError, MessageType};

    use super::*;

    fn data(sequence: i64) -> Bytes {
        let payload = Bytes::from_static(b"payload");
        Frame { created_ms: 1, ..Frame::data(MessageType::OutputStreamData, sequence, 1, payload) }.encode()
    }

    fn through(disturbance: Disturbance, seed: u64, count: i64) -> Vec<Bytes> {
        let now = Instant::now();
        let mut link = Link::new(seed);
        link.disturb(disturbance);
        (0..count).for_each(|sequence| link.handle_message(now, data(sequence)));
        link.handle_timeout(now + Duration::from_secs(60));
        std::iter::from_fn(|| link.poll_message()).collect()
    }

    fn sequences(messages: &[Bytes]) -> Vec<i64> {
        messages.iter().map(|message| Frame::decode(message).expect("whole").sequence).collect()
    }

    #[test]
    fn a_link_without_faults_changes_nothing() {
        assert_eq!(sequences(&through(Disturbance::default(), 1, 50)), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn about_the_asked_share_is_dropped_and_the_same_seed_drops_the_same() {
        let drop = Disturbance { drop: 0.3, ..Disturbance::default() };
        let arrived = sequences(&through(drop, 7, 1000));
        assert!((600..800).contains(&arrived.len()), "{}", arrived.len());
        assert_eq!(arrived, sequences(&through(drop, 7, 1000)));
        assert_ne!(arrived, sequences(&through(drop, 8, 1000)));
    }

    #[test]
    fn duplicates_are_whole_copies() {
        let twice = Disturbance { duplicate: 1.0, ..Disturbance::default() };
        assert_eq!(sequences(&through(twice, 1, 3)), [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn a_reordered_message_arrives_after_the_next_one_and_is_not_lost_without_one() {
        let swap = Disturbance { reorder: 0.5, ..Disturbance::default() };
        let arrived = sequences(&through(swap, 3, 100));
        let mut sorted = arrived.clone();
        sorted.sort_unstable();
        assert_ne!(arrived, sorted);
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(sequences(&through(Disturbance { reorder: 1.0, ..swap }, 3, 1)), [0]);
    }

    #[test]
    fn a_corrupt_message_does_not_match_its_digest() {
        let corrupt = Disturbance { corrupt: 1.0, ..Disturbance::default() };
        for message in through(corrupt, 5, 20) {
            assert_eq!(Frame::decode(&message), Err(FrameError::Digest));
        }
    }

    #[test]
    fn a_delayed_message_is_not_there_before_its_time() {
        let now = Instant::now();
        let mut link = Link::new(1);
        let by = Duration::from_millis(300);
        link.disturb(Disturbance { delay: 1.0, delay_by: by, ..Disturbance::default() });
        link.handle_message(now, data(0));
        assert_eq!(link.deadline(), Some(now + by));
        link.handle_timeout(now + by - Duration::from_millis(1));
        assert_eq!(link.poll_message(), None);
        link.handle_timeout(now + by);
        assert_eq!(link.poll_message(), Some(data(0)));
        assert_eq!(link.deadline(), None);
    }

    #[test]
    fn messages_of_the_service_are_spared() {
        let now = Instant::now();
        let mut link = Link::new(1);
        link.disturb(Disturbance { drop: 1.0, ..Disturbance::default() });
        link.handle_message(now, data(0));
        let closed = Frame { created_ms: 1, ..Frame::new(MessageType::ChannelClosed, Bytes::new()) }.encode();
        link.handle_message(now, closed.clone());
        assert_eq!(link.poll_message(), Some(closed));
        assert_eq!(link.poll_message(), None);
    }
}
