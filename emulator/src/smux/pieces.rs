//! Bytes of a stream, in the pieces in which they came.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A queue of bytes that copies none.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Pieces {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Takes the oldest bytes out, at most `max`.
    pub(super) fn take_up_to(&mut self, max: usize) -> Self {
        let mut taken = Self::default();
        while taken.len < max
            && let Some(piece) = self.pieces.front_mut()
        {
            let count = piece.len().min(max - taken.len);
            taken.push(piece.split_to(count));
            self.len -= count;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        taken
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], Bytes::as_ref)
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        let slices = target.iter_mut().zip(&self.pieces);
        slices.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "no more than there is");
        self.len -= count;
        while count > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            let now = count.min(piece.len());
            piece.advance(now);
            count -= now;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Pieces {
        let mut pieces = Pieces::default();
        [b"ab".as_slice(), b"", b"cde", b"f"].into_iter().for_each(|piece| pieces.push(Bytes::from_static(piece)));
        pieces
    }

    #[test]
    fn bytes_are_taken_across_pieces_in_order() {
        let mut pieces = pieces();
        let mut sizes = Vec::new();
        let mut all = Vec::new();
        while pieces.has_remaining() {
            let mut taken = pieces.take_up_to(4);
            sizes.push(taken.remaining());
            all.extend_from_slice(&taken.copy_to_bytes(taken.remaining()));
        }
        assert_eq!((sizes.as_slice(), all.as_slice()), ([4, 2].as_slice(), b"abcdef".as_slice()));
        assert_eq!(pieces.take_up_to(4).remaining(), 0);
    }

    #[test]
    fn bytes_are_written_from_many_pieces_at_once() {
        let mut pieces = pieces();
        pieces.advance(1);
        let mut slices = [IoSlice::new(b""); 2];
        assert_eq!(pieces.chunks_vectored(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (b"b".as_slice(), b"cde".as_slice()));
        pieces.advance(4);
        assert_eq!((pieces.chunk(), pieces.remaining()), (b"f".as_slice(), 1));
    }
}
