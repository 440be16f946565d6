//! How the program ends: one number, and the rules that give it.

use ssmwire::Error;

/// What a shell adds to a signal's number to make an exit code of it.
const SIGNALLED: u8 = 128;
const SIGPIPE: u8 = 13;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exit(u8);

impl Exit {
    /// All went well.
    pub(crate) const SUCCESS: Exit = Exit(0);
    /// The command line can't be meant.
    pub(crate) const USAGE: Exit = Exit(2);
    /// Whoever read our output went away: what a shell shows for a program that SIGPIPE killed.
    pub(crate) const BROKEN_PIPE: Exit = Exit(SIGNALLED + SIGPIPE);
    /// We failed, as opposed to the remote command.
    pub(crate) const FAILURE: Exit = Exit(255);

    /// Makes the exit code of a program that signal `number` ended.
    pub(crate) fn signalled(number: u8) -> Self {
        Exit(SIGNALLED.saturating_add(number))
    }

    /// Makes the exit code of a session. Shells have none, so an unknown one counts as success.
    ///
    /// As for every process only the low eight bits get through; a negative code, by which the agent says that a
    /// signal ended the command (PROTOCOL §10.5), becomes 255.
    pub(crate) fn remote(code: Option<i32>) -> Self {
        match code {
            None => Exit::SUCCESS,
            Some(code) if code < 0 => Exit::FAILURE,
            Some(code) => Exit(code.to_le_bytes()[0]),
        }
    }

    /// Makes the exit code of a command that was run for its exit code, and says what is wrong with one that can't be
    /// passed on: an unknown one must not look like success, nor a signal like a failure of ours.
    pub(crate) fn command(code: Option<i32>) -> (Self, Option<&'static str>) {
        let problem = match code {
            None => Some("the command ended, but nobody could tell its exit code"),
            Some(code) if code < 0 => Some("the command was ended by a signal"),
            Some(_) => None,
        };
        (if code.is_none() { Exit::FAILURE } else { Exit::remote(code) }, problem)
    }

    /// Returns the number.
    pub(crate) fn code(self) -> u8 {
        self.0
    }
}

/// Why a command stopped before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Whoever read our output went away, and no message could interest them.
    BrokenPipe,
    /// The session failed, or something before it.
    Failed(Error),
    /// A signal of this number asked us to end.
    Signalled(u8),
    /// Our output can't be written, so there is no point in more of it.
    Unwritable(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_code_gets_through_and_a_remote_signal_is_a_failure() {
        assert_eq!(Exit::remote(Some(0)), Exit::SUCCESS);
        assert_eq!(Exit::remote(Some(7)), Exit(7));
        assert_eq!(Exit::remote(Some(-1)), Exit::FAILURE);
        assert_eq!(Exit::remote(None), Exit::SUCCESS);
    }

    #[test]
    fn an_unknown_code_of_a_command_is_no_success() {
        assert_eq!(Exit::command(Some(0)), (Exit::SUCCESS, None));
        assert_eq!(Exit::command(Some(9)), (Exit(9), None));
        assert!(matches!(Exit::command(None), (Exit::FAILURE, Some(_))));
        assert!(matches!(Exit::command(Some(-1)), (Exit::FAILURE, Some(_))));
    }

    #[test]
    fn a_signal_is_told_as_shells_do() {
        assert_eq!(Exit::signalled(15), Exit(143));
        assert_eq!(Exit::signalled(13), Exit::BROKEN_PIPE);
    }
}
