//! Frames of the multiplexer (PROTOCOL §9.5.1): an 8-byte header and, for data only, a body.
//!
//! Nothing here knows which streams exist.

use super::MuxId;
use crate::{Error, Result};

/// Bytes of a frame's header.
pub(super) const HEADER_LEN: usize = 8;
/// The only version that both official ends speak.
const VERSION: u8 = 1;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A stream is opened.
    Syn,
    /// A stream ends.
    Fin,
    /// Bytes of a stream.
    Psh,
    /// Nothing: a sign of life.
    Nop,
}

/// A frame without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) command: Command,
    pub(super) id: MuxId,
    /// Bytes of the body; zero unless the command is [`Command::Psh`].
    pub(super) length: u16,
}

impl Header {
    pub(super) fn without_body(command: Command, id: MuxId) -> Self {
        Self { command, id, length: 0 }
    }

    pub(super) fn encode(self) -> [u8; HEADER_LEN] {
        let [l0, l1] = self.length.to_le_bytes();
        let [i0, i1, i2, i3] = self.id.0.to_le_bytes();
        [VERSION, self.command as u8, l0, l1, i0, i1, i2, i3]
    }

    /// # Errors
    /// [`crate::Kind::Protocol`] for another version, a command that version 1 does not have, or a body where none
    /// belongs: the official programs would take such a body for the next header.
    pub(super) fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self> {
        let [version, command, l0, l1, i0, i1, i2, i3] = bytes;
        if version != VERSION {
            return Err(Error::protocol(format!(
                "the agent's multiplexer speaks version `{version}`, not `{VERSION}`"
            )));
        }
        let command = match command {
            0 => Command::Syn,
            1 => Command::Fin,
            2 => Command::Psh,
            3 => Command::Nop,
            _ => return Err(Error::protocol(format!("the multiplexer has no command `{command}`"))),
        };
        let (id, length) = (MuxId(u32::from_le_bytes([i0, i1, i2, i3])), u16::from_le_bytes([l0, l1]));
        if command != Command::Psh && length > 0 {
            return Err(Error::protocol(format!(
                "a `{command:?}` frame of the multiplexer has `{length}` bytes of body"
            )));
        }
        Ok(Self { command, id, length })
    }
}

/// Takes the byte stream apart. Bodies are passed on as they come, so that it keeps no more than a header.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    header: [u8; HEADER_LEN],
    header_len: usize,
    id: MuxId,
    body_left: usize,
}

/// What the decoder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A frame begins.
    Header(Header),
    /// Bytes of the frame that began last, at least one.
    Body(MuxId, &'a [u8]),
}

impl Decoder {
    /// Returns the next piece and takes it off the front of `data`; `None` when all of `data` is used up.
    ///
    /// # Errors
    /// As [`Header::decode`]. After it the boundaries of frames are lost.
    pub(super) fn poll_piece<'a>(&mut self, data: &mut &'a [u8]) -> Result<Option<Piece<'a>>> {
        if self.body_left > 0 {
            let body = take(data, self.body_left);
            self.body_left -= body.len();
            return Ok((!body.is_empty()).then_some(Piece::Body(self.id, body)));
        }
        let part = take(data, HEADER_LEN - self.header_len);
        self.header[self.header_len..self.header_len + part.len()].copy_from_slice(part);
        self.header_len += part.len();
        if self.header_len < HEADER_LEN {
            return Ok(None);
        }
        self.header_len = 0;
        let header = Header::decode(self.header)?;
        (self.id, self.body_left) = (header.id, usize::from(header.length));
        Ok(Some(Piece::Header(header)))
    }
}

fn take<'a>(data: &mut &'a [u8], max: usize) -> &'a [u8] {
    let (now, later) = data.split_at(max.min(data.len()));
    *data = later;
    now
}
