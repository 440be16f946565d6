//! How large the pieces are that bulk data is cut into: as the official client cuts them at first (PROTOCOL §6.2), then
//! larger, as long as that does no harm.

/// Bytes of one message's payload, as the official client sends them (PROTOCOL §6.2).
pub(super) const PIECE_MIN: usize = 1 << 10;
/// The largest size that may be asked for. Agents take far more; what the service takes is not known (PROTOCOL §10.7).
const PIECE_LIMIT: usize = 64 << 10;

/// The size of a message of bulk data.
///
/// It is twice the largest one that was acknowledged. If the connection is lost while the first larger one is not, its
/// size may be the reason: the session then goes on with small ones for good.
#[derive(Debug)]
pub(super) struct Pieces {
    size: usize,
    max: usize,
    /// The largest size that is known to arrive, or a byte less than the smallest full one.
    known: usize,
    /// The first message of a larger size, and that size.
    first: Option<(i64, usize)>,
}

impl Pieces {
    /// Makes pieces that may grow to `max` bytes, within 1 KiB and 64 KiB.
    pub(super) fn new(max: usize) -> Self {
        Self { size: PIECE_MIN, max: max.clamp(PIECE_MIN, PIECE_LIMIT), known: PIECE_MIN - 1, first: None }
    }

    /// Returns how many bytes a message may carry.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns the message that shows whether its size does harm.
    pub(super) fn first(&self) -> Option<i64> {
        self.first.map(|(sequence, _)| sequence)
    }

    /// A message was made of `len` bytes.
    pub(super) fn handle_cut(&mut self, sequence: i64, len: usize) {
        if len > self.known && self.first.is_none() {
            self.first = Some((sequence, len));
        }
    }

    /// The [first message](Self::first) was acknowledged.
    pub(super) fn handle_arrival(&mut self) {
        if let Some((_, len)) = self.first.take() {
            self.known = len;
            self.size = (2 * len).min(self.max);
        }
    }

    /// The connection was lost after the [first message](Self::first) had been sent.
    pub(super) fn handle_loss(&mut self) {
        if self.first.take_if(|(_, len)| *len > PIECE_MIN).is_some() {
            (self.size, self.max) = (PIECE_MIN, PIECE_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_acknowledged_step_doubles_the_size_up_to_the_limit() {
        let mut pieces = Pieces::new(5000);
        let mut sizes = Vec::new();
        for sequence in 0..4 {
            sizes.push(pieces.size());
            pieces.handle_cut(sequence, pieces.size());
            pieces.handle_arrival();
        }
        assert_eq!(sizes, [1024, 2048, 4096, 5000]);
        pieces.handle_cut(9, 5000);
        assert_eq!(pieces.first(), None, "it is known to arrive");
    }

    #[test]
    fn small_messages_make_nothing_grow() {
        let mut pieces = Pieces::new(16 << 10);
        pieces.handle_cut(0, 1023);
        assert_eq!(pieces.first(), None);
        pieces.handle_arrival();
        assert_eq!(pieces.size(), 1024);
    }

    #[test]
    fn a_loss_after_the_first_small_one_means_nothing() {
        let mut pieces = Pieces::new(16 << 10);
        pieces.handle_cut(0, 1024);
        pieces.handle_loss();
        pieces.handle_arrival();
        assert_eq!(pieces.size(), 2048);
    }

    #[test]
    fn a_loss_after_the_first_larger_one_is_remembered() {
        let mut pieces = Pieces::new(16 << 10);
        pieces.handle_cut(0, 1024);
        pieces.handle_arrival();
        pieces.handle_cut(1, 1500);
        pieces.handle_loss();
        for sequence in 2..9 {
            assert_eq!(pieces.size(), 1024);
            pieces.handle_cut(sequence, 1024);
            pieces.handle_arrival();
        }
    }

    #[test]
    fn no_limit_is_too_small_or_too_large() {
        for (max, limit) in [(0, 1024), (usize::MAX, 64 << 10)] {
            let mut pieces = Pieces::new(max);
            for sequence in 0..20 {
                pieces.handle_cut(sequence, pieces.size());
                pieces.handle_arrival();
            }
            assert_eq!(pieces.size(), limit);
        }
    }
}
