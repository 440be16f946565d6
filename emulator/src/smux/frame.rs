//! Frames of the multiplexer: reading them out of a stream of bytes, and writing them (PROTOCOL §9.5.1).
//!
//! Knows nothing of which streams are open.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The most payload bytes in a frame that is sent. Received ones may have up to 65,535.
pub(super) const PAYLOAD_MAX: usize = 32 << 10;

const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 8;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A stream is opened.
    Syn = 0,
    /// A stream is closed.
    Fin = 1,
    /// Bytes of a stream.
    Psh = 2,
    /// A sign of life.
    Nop = 3,
}

impl Command {
    /// Reads its number. The fifth command, UPD, belongs to version 2.
    fn read(number: u8) -> Result<Self, Violation> {
        match number {
            0 => Ok(Self::Syn),
            1 => Ok(Self::Fin),
            2 => Ok(Self::Psh),
            3 => Ok(Self::Nop),
            _ => Err(Violation),
        }
    }
}

/// A frame, or a part of a stream's bytes as far as they have come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Syn(u32),
    Fin(u32),
    Data(u32, Bytes),
    Nop,
}

/// The bytes are no frame of version 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation;

/// Cuts a stream of bytes into frames, wherever the bytes themselves are cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    input: Bytes,
    header: [u8; HEADER_LENGTH],
    header_length: usize,
    /// The stream of the payload that is being read, and how many bytes of it are still to come.
    payload: (u32, usize),
}

impl Decoder {
    /// Returns whether all that was pushed has come out.
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Adds the next bytes.
    pub(super) fn push(&mut self, data: Bytes) {
        self.input = if self.input.is_empty() { data } else { [self.input.as_ref(), data.as_ref()].concat().into() };
    }

    /// Returns the next item; `None` if it takes more bytes.
    ///
    /// # Errors
    /// If the bytes are no frame. Nothing after them can be understood.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Violation> {
        loop {
            if let (id, left @ 1..) = self.payload {
                if self.input.is_empty() {
                    return Ok(None);
                }
                let data = self.input.split_to(self.input.len().min(left));
                self.payload.1 -= data.len();
                return Ok(Some(Item::Data(id, data)));
            }
            let missing = HEADER_LENGTH - self.header_length;
            let part = self.input.split_to(self.input.len().min(missing));
            self.header[self.header_length..][..part.len()].copy_from_slice(&part);
            self.header_length += part.len();
            if self.header_length < HEADER_LENGTH {
                return Ok(None);
            }
            self.header_length = 0;
            if let Some(item) = self.start()? {
                return Ok(Some(item));
            }
        }
    }

    /// Reads a whole header; the payload of a PSH follows as items of its own.
    ///
    /// The length of other frames is not looked at, as it isn't by the official agent (PROTOCOL §9.5.3).
    fn start(&mut self) -> Result<Option<Item>, Violation> {
        let [version, command, low, high, id @ ..] = self.header;
        if version != VERSION {
            return Err(Violation);
        }
        let id = u32::from_le_bytes(id);
        match Command::read(command)? {
            Command::Syn => Ok(Some(Item::Syn(id))),
            Command::Fin => Ok(Some(Item::Fin(id))),
            Command::Psh => {
                self.payload = (id, u16::from_le_bytes([low, high]).into());
                Ok(None)
            }
            Command::Nop => Ok(Some(Item::Nop)),
        }
    }
}

/// Appends a frame with a payload of at most [`PAYLOAD_MAX`] bytes.
pub(super) fn write(output: &mut BytesMut, command: Command, id: u32, payload: &[u8]) {
    output.put_u8(VERSION);
    output.put_u8(command as u8);
    output.put_u16_le(payload.len() as u16);
    output.put_u32_le(id);
    output.put_slice(payload);
}
