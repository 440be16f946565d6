//! The way between the two ends: what it loses, repeats, delays and damages, and how much it holds.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ssmwire::proto::frame::OVERHEAD;

use crate::clock::Dice;

/// Messages that one direction holds at most; a sender waits for room.
const CAPACITY: usize = 256;

/// What a way does to messages, in cases of 1000.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    pub(crate) damage: u64,
    /// The shortest and the longest delay, in milliseconds; a difference means disorder.
    pub(crate) delay: (u64, u64),
}

/// One direction, to one of the ends.
#[derive(Default)]
pub(crate) struct Link {
    /// Counts the connections of the receiving end: what was under way to an earlier one never arrives.
    pub(crate) generation: u64,
    pub(crate) is_up: bool,
    under_way: usize,
    /// Arrived, and not read yet.
    waiting: VecDeque<Bytes>,
}

/// A message under way.
pub(crate) struct Parcel {
    pub(crate) generation: u64,
    pub(crate) message: Bytes,
}

impl Link {
    pub(crate) fn has_room(&self) -> bool {
        self.under_way + self.waiting.len() < CAPACITY
    }

    /// Decides what becomes of a message: the copies that will arrive, and when.
    pub(crate) fn send(&mut self, dice: &mut Dice, faults: Faults, message: &Bytes) -> Vec<(Duration, Parcel)> {
        if !self.is_up || dice.hits(faults.loss) {
            return Vec::new();
        }
        let copies = 1 + u64::from(dice.hits(faults.duplicates));
        let parcel = |dice: &mut Dice| {
            let message = if dice.hits(faults.damage) { damaged(dice, message) } else { message.clone() };
            (dice.millis(faults.delay.0, faults.delay.1), Parcel { generation: self.generation, message })
        };
        let parcels: Vec<_> = (0..copies).map(|_| parcel(dice)).collect();
        self.under_way += parcels.len();
        parcels
    }

    pub(crate) fn arrive(&mut self, parcel: Parcel) {
        if parcel.generation == self.generation && self.is_up {
            self.under_way -= 1;
            self.waiting.push_back(parcel.message);
        }
    }

    /// Takes the next message that arrived.
    pub(crate) fn read(&mut self) -> Option<Bytes> {
        self.waiting.pop_front()
    }

    pub(crate) fn cut(&mut self) {
        self.is_up = false;
        self.generation += 1;
        self.under_way = 0;
        self.waiting.clear();
    }
}

/// Changes the payload. The header is not protected by the digest: damage there is another message, not a bad one.
fn damaged(dice: &mut Dice, message: &Bytes) -> Bytes {
    let length = message.len() as u64;
    if length <= OVERHEAD as u64 + 1 {
        return Bytes::new();
    }
    let at = dice.between(OVERHEAD as u64, length - 1) as usize;
    if at > OVERHEAD && dice.hits(300) {
        return message.slice(..at);
    }
    let mut changed = BytesMut::from(&message[..]);
    changed[at] ^= 1 << dice.between(0, 7);
    changed.freeze()
}
