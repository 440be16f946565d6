//! How much input may be sent now, and in pieces of what size (PROTOCOL §6.2, §6.8).

use super::input::InputState;
use super::{Connection, SessionKind};
use crate::proto::pieces::PIECE_MIN;

/// Pieces that a window is made of at least. With fewer, acknowledges would come in jerks.
const PIECES_MIN: usize = 16;

impl Connection {
    /// Returns whether a message may be made now.
    pub(super) fn has_window(&self) -> bool {
        self.input.state == InputState::Open
            && self.room() >= self.room_min()
            && self.outbound.len() < self.config.window_messages
    }

    /// Returns how many payload bytes more may be unacknowledged.
    pub(super) fn room(&self) -> usize {
        self.outbound.window().saturating_sub(self.outbound.payload_bytes())
    }

    /// Returns how many bytes of input a message may carry. Only ports have bulk data; what is typed stays as the
    /// official client sends it.
    pub(super) fn piece_size(&self) -> usize {
        if self.is_port() {
            self.pieces.size().min(self.outbound.window() / PIECES_MIN).max(PIECE_MIN)
        } else {
            PIECE_MIN
        }
    }

    pub(super) fn is_port(&self) -> bool {
        matches!(self.handshake.kind(), Some(SessionKind::Port | SessionKind::Ports))
    }

    /// Bulk data waits for the room of a whole piece: else the bits of room that each acknowledge leaves would be
    /// filled with ever smaller messages. What does not fill a piece need not wait for more.
    fn room_min(&self) -> usize {
        if !self.is_port() {
            return 1;
        }
        let piece = self.piece_size().min(self.outbound.window());
        self.mux.as_ref().map_or(piece, |mux| mux.output_len().min(piece).max(1))
    }

    /// The connection is lost, or another one takes its place.
    pub(super) fn note_loss(&mut self) {
        if self.pieces.first().is_some_and(|sequence| self.outbound.is_sent(sequence)) {
            self.pieces.handle_loss();
        }
    }

    /// Something was acknowledged.
    pub(super) fn note_arrival(&mut self) {
        if self.pieces.first().is_some_and(|sequence| self.outbound.is_acknowledged(sequence)) {
            self.pieces.handle_arrival();
        }
    }

    /// The service delivers again. What it held back is late because of that.
    pub(super) fn lift_pause(&mut self) {
        if self.link.paused_until.take().is_some() {
            self.outbound.ignore_delays();
        }
    }
}
