//! Processes: their environment, why they did not start, and how to end them with all that they started.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Child;

/// What the agent sets for every program, but for what is set already (PROTOCOL §10.3).
pub(super) fn environment() -> Vec<(&'static str, &'static str)> {
    let mut environment = vec![("TERM", "xterm-256color")];
    if std::env::var_os("LANG").is_none() {
        environment.push(("LANG", "C.UTF-8"));
    }
    environment
}

/// Says why a program did not start, in the words of the official agent's platform.
pub(super) fn start_error(program: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound && !program.contains('/') {
        return format!("exec: \"{program}\": executable file not found in $PATH");
    }
    let problem = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    format!("fork/exec {program}: {problem}")
}

/// A process that leads a session or a group of its own, with all that belongs to it.
///
/// Dropped before it is [spared](Self::spare), it is killed.
#[derive(Debug)]
pub(super) struct ProcessTree {
    leader: Option<Pid>,
}

impl ProcessTree {
    /// Takes charge of `child`, which leads a session or a group.
    ///
    /// # Errors
    /// If it has ended and been waited for.
    pub(super) fn new(child: &Child) -> io::Result<Self> {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        leader.map(|leader| Self { leader: Some(leader) }).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Signals the leader alone, as the agent does for Ctrl-C (PROTOCOL §10.5).
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // It fails when the process has ended, which is as good.
            let _ = kill_process(leader, signal);
        }
    }

    /// Tells the group that its terminal is gone.
    pub(super) fn hang_up(&self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::HUP);
        }
    }

    /// Kills the group, and the session's other groups where the platform lists processes.
    pub(super) fn kill(&self) {
        let Some(leader) = self.leader else { return };
        let _ = kill_process_group(leader, Signal::KILL);
        let Ok(processes) = fs::read_dir("/proc") else { return };
        let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for process in ids.filter_map(Pid::from_raw).filter(|process| session(*process) == Some(leader)) {
            let _ = kill_process(process, Signal::KILL);
        }
    }

    /// Lets what is still running run on: the program has ended by itself.
    pub(super) fn spare(mut self) {
        self.leader = None;
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads which session a process belongs to; processes of other namespaces may have none that can be named.
fn session(process: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).ok()?;
    // The program's name comes before, in parentheses, and may contain anything; then state, parent, group, session.
    let (_, fields) = stat.rsplit_once(") ")?;
    Pid::from_raw(fields.split(' ').nth(3)?.parse().ok().filter(|id| *id > 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_start_is_reported_in_the_official_words() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(start_error("/no/such/bin", &missing), "fork/exec /no/such/bin: no such file or directory");
        assert_eq!(start_error("nosuch", &missing), "exec: \"nosuch\": executable file not found in $PATH");
    }
}
