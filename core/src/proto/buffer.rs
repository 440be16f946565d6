//! Bytes that arrived and wait for the reader.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// The size of the blocks that bytes are gathered in.
const BLOCK: usize = 64 << 10;
/// The size of a first block: a session that only echoes keystrokes needs no more.
const BLOCK_MIN: usize = 1 << 10;
/// Payloads from this size on are kept as they came, without a copy …
const SHARED_MIN: usize = 4 << 10;
/// … while no more than this is unread. A payload is a slice of a read buffer that may be larger, so a reader that is
/// behind gets copies: what it leaves unread must take as much memory as it counts.
const SHARED_MAX: usize = 512 << 10;

/// A queue of bytes.
#[derive(Default)]
pub(super) struct Buffer {
    full: VecDeque<Bytes>,
    last: BytesMut,
    len: usize,
}

impl Buffer {
    /// Adds a payload.
    pub(super) fn push_payload(&mut self, payload: &Bytes) {
        if payload.len() < SHARED_MIN || self.len + payload.len() > SHARED_MAX {
            return self.push(payload);
        }
        self.seal_last();
        self.full.push_back(payload.clone());
        self.len += payload.len();
    }

    /// Adds a copy of `data`.
    pub(super) fn push(&mut self, mut data: &[u8]) {
        self.len += data.len();
        while !data.is_empty() {
            let room = self.last.capacity() - self.last.len();
            if room == 0 {
                self.seal_last();
                let size = if self.len > BLOCK_MIN { BLOCK } else { BLOCK_MIN };
                self.last = BytesMut::with_capacity(size);
                continue;
            }
            let (now, later) = data.split_at(room.min(data.len()));
            self.last.extend_from_slice(now);
            data = later;
        }
    }

    /// Moves the oldest bytes into `target` and returns how many.
    pub(super) fn read(&mut self, target: &mut [u8]) -> usize {
        let mut done = 0;
        self.take(target.len(), |data| {
            target[done..done + data.len()].copy_from_slice(data);
            done += data.len();
        });
        done
    }

    /// Moves the oldest `count` bytes to the end of `target`, or as many as there are.
    pub(super) fn read_into(&mut self, count: usize, target: &mut BytesMut) {
        self.take(count, |data| target.extend_from_slice(data));
    }

    fn take(&mut self, mut count: usize, mut put: impl FnMut(&[u8])) {
        while count > 0 && self.len > 0 {
            let taken = match self.full.front_mut() {
                Some(block) => take(block, count, &mut put),
                None => take(&mut self.last, count, &mut put),
            };
            if self.full.front().is_some_and(Bytes::is_empty) {
                self.full.pop_front();
            }
            count -= taken;
            self.len -= taken;
        }
        if self.len == 0 {
            // Used again from its start: a block that is given back and taken anew costs more than filling it.
            // Whether that works does not matter: without it, the next bytes find less room, or a block of their own.
            let used = self.last.capacity() + 1;
            let _ = self.last.try_reclaim(used);
        }
    }

    /// Takes the oldest bytes out, up to a block or a message, without copying them.
    pub(super) fn read_block(&mut self) -> Option<Bytes> {
        let block = match self.full.pop_front() {
            Some(block) => block,
            None => self.last.split().freeze(),
        };
        self.len -= block.len();
        (!block.is_empty()).then_some(block)
    }

    /// Gives back the memory that an empty buffer keeps for the next bytes.
    pub(super) fn shrink(&mut self) {
        if self.len == 0 {
            self.last = BytesMut::new();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What is in the last block stands before what comes next.
    fn seal_last(&mut self) {
        if !self.last.is_empty() {
            self.full.push_back(self.last.split().freeze());
        }
    }
}

fn take(block: &mut (impl Buf + AsRef<[u8]>), max: usize, put: &mut impl FnMut(&[u8])) -> usize {
    let count = block.remaining().min(max);
    put(&block.as_ref()[..count]);
    block.advance(count);
    count
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            pushes in prop::collection::vec(0usize..100_000, 0..12),
            reads in prop::collection::vec(prop::option::of(1usize..150_000), 0..12),
        ) {
            let (mut buffer, mut model, mut next) = (Buffer::default(), VecDeque::new(), 0u8);
            let mut reads = reads.into_iter();
            for push in pushes {
                let data: Vec<u8> = (0..push).map(|_| { next = next.wrapping_add(7); next }).collect();
                match push % 2 {
                    0 => buffer.push(&data),
                    _ => buffer.push_payload(&Bytes::copy_from_slice(&data)),
                }
                model.extend(&data);
                let got = match reads.next() {
                    Some(Some(size)) => {
                        let mut target = vec![0; size];
                        let count = buffer.read(&mut target);
                        prop_assert_eq!(count, size.min(model.len()));
                        target.truncate(count);
                        target
                    }
                    Some(None) => buffer.read_block().map(Vec::from).unwrap_or_default(),
                    None => continue,
                };
                for byte in got {
                    prop_assert_eq!(Some(byte), model.pop_front());
                }
                prop_assert_eq!(buffer.len(), model.len());
            }
            while let Some(block) = buffer.read_block() {
                for byte in block {
                    prop_assert_eq!(Some(byte), model.pop_front());
                }
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn a_drained_buffer_keeps_one_block_until_it_is_shrunk() {
        let mut buffer = Buffer::default();
        buffer.push(&[1; 200_000]);
        let mut target = vec![0; 200_000];
        assert_eq!(buffer.read(&mut target), 200_000);
        assert!(buffer.full.is_empty() && buffer.last.capacity() <= BLOCK);
        let block = buffer.last.capacity();
        for _ in 0..1000 {
            buffer.push(&[1; 1000]);
            assert_eq!(buffer.read(&mut target), 1000);
            assert_eq!(buffer.last.capacity(), block, "the block is used again");
        }
        buffer.shrink();
        assert_eq!(buffer.last.capacity(), 0);
    }
}
