//! Bytes that arrived and wait for the reader.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// The size of the blocks that bytes are gathered in.
const BLOCK: usize = 64 << 10;
/// The size of a first block: a session that only echoes keystrokes needs no more.
const BLOCK_MIN: usize = 1 << 10;

/// A queue of bytes.
///
/// Bytes are copied into blocks of its own: a payload is a slice of a read buffer many times its size, and a queue
/// of such slices would take a multiple of the memory that it counts.
#[derive(Default)]
pub(super) struct Buffer {
    full: VecDeque<BytesMut>,
    last: BytesMut,
    len: usize,
}

impl Buffer {
    pub(super) fn push(&mut self, mut data: &[u8]) {
        self.len += data.len();
        while !data.is_empty() {
            let room = self.last.capacity() - self.last.len();
            if room == 0 {
                let size = if self.len > BLOCK_MIN { BLOCK } else { BLOCK_MIN };
                let full = std::mem::replace(&mut self.last, BytesMut::with_capacity(size));
                if !full.is_empty() {
                    self.full.push_back(full);
                }
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
        while done < target.len() && self.len > 0 {
            let block = self.full.front_mut().unwrap_or(&mut self.last);
            let count = block.len().min(target.len() - done);
            target[done..done + count].copy_from_slice(&block[..count]);
            block.advance(count);
            done += count;
            self.len -= count;
            self.drop_empty();
        }
        done
    }

    /// Takes the oldest bytes out, up to a block, without copying them.
    pub(super) fn read_block(&mut self) -> Option<Bytes> {
        let block = match self.full.pop_front() {
            Some(block) => block,
            None => std::mem::take(&mut self.last),
        };
        self.len -= block.len();
        (!block.is_empty()).then(|| block.freeze())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn drop_empty(&mut self) {
        if self.full.front().is_some_and(BytesMut::is_empty) {
            self.full.pop_front();
        }
        if self.len == 0 {
            // An idle session keeps no block.
            self.last = BytesMut::new();
        }
    }
}

/// Shows the length only: what a session carries belongs in no log.
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
                buffer.push(&data);
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
    fn a_drained_buffer_keeps_no_memory() {
        let mut buffer = Buffer::default();
        buffer.push(&[1; 200_000]);
        let mut target = vec![0; 200_000];
        assert_eq!(buffer.read(&mut target), 200_000);
        assert_eq!((buffer.full.len(), buffer.last.capacity()), (0, 0));
    }
}
