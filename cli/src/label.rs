//! Output of several targets on one stream: each line says whose it is.

/// The longest line that is kept together; a longer one is broken, so that memory stays bounded.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Puts `target: ` before each line of one target's stream.
#[derive(Debug)]
pub(crate) struct Labeller {
    label: Vec<u8>,
    line: Vec<u8>,
}

impl Labeller {
    /// Makes a labeller for one stream of `target`.
    pub(crate) fn new(target: &str) -> Self {
        Self { label: format!("{target}: ").into_bytes(), line: Vec::new() }
    }

    /// Takes bytes and returns the lines that are complete with them, labelled.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut labelled = Vec::new();
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.line.len();
            let window = &bytes[..bytes.len().min(room)];
            let end = window.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(window.len());
            self.line.extend_from_slice(&window[..taken]);
            bytes = &bytes[end.map_or(taken, |end| end + 1)..];
            if end.is_some() || self.line.len() == LINE_BYTES_MAX {
                self.end_line(&mut labelled);
            }
        }
        labelled
    }

    /// Returns the last line if it lacks its end, labelled and ended.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut labelled = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut labelled);
        }
        labelled
    }

    fn end_line(&mut self, labelled: &mut Vec<u8>) {
        labelled.extend_from_slice(&self.label);
        labelled.append(&mut self.line);
        labelled.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_labelled_wherever_they_were_split() {
        let text = b"one\n\ntwo\nlast";
        for split in 0..text.len() {
            let mut labeller = Labeller::new("i-1");
            let mut seen = labeller.push(&text[..split]);
            seen.extend(labeller.push(&text[split..]));
            seen.extend(labeller.finish());
            assert_eq!(seen, b"i-1: one\ni-1: \ni-1: two\ni-1: last\n", "split at {split}");
        }
    }

    #[test]
    fn an_unfinished_line_waits_for_its_end() {
        let mut labeller = Labeller::new("i-1");
        assert_eq!(labeller.push(b"half"), b"");
        assert_eq!(labeller.push(b" and half\n"), b"i-1: half and half\n");
        assert_eq!(labeller.finish(), b"");
    }

    #[test]
    fn an_endless_line_is_broken() {
        let mut labeller = Labeller::new("a");
        let mut seen = labeller.push(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(seen.len(), "a: \n".len() + LINE_BYTES_MAX);
        seen.extend(labeller.finish());
        assert!(seen.ends_with(b"x\na: x\n"));
    }
}
