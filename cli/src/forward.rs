//! `forward`: a local port whose connections end at a far one, until a signal.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use futures_util::future::select_all;
use ssmwire::{Client, Error, Forward, ForwardBuilder, ForwardEvent, Kind, Remote, Session};
use tokio::time::MissedTickBehavior;

use crate::args::ForwardOptions;
use crate::counters::Counters;
use crate::exit::{Exit, Halt};
use crate::message;
use crate::signals::Signals;

/// How often the counters are shown.
const REFRESH: Duration = Duration::from_millis(250);

/// Forwards until a signal, which is then the normal end. The sessions are closed with the client.
pub(crate) async fn forward(client: &Client, options: ForwardOptions, signals: &mut Signals) -> Result<Exit, Halt> {
    let ForwardOptions { target, route, bind, sessions, progress, document_name, reason } = options;
    let builder = client.forward(&target, route.remote.clone()).sessions(usize::from(sessions));
    let builder = bind.or(route.bind).into_iter().fold(builder, ForwardBuilder::bind);
    let builder = document_name.into_iter().fold(builder, ForwardBuilder::document);
    let builder = reason.into_iter().fold(builder, ForwardBuilder::reason);
    let forward = signals.during(async { Ok(builder.start().await?) }).await?;
    let sessions = forward.sessions();
    message::tell(&ready(&forward, &route.remote, &target, &sessions), "\n");
    let mut counters = Counters::new(progress);
    tokio::select! {
        never = tell(&forward, &mut counters) => match never {},
        never = tell_events(sessions) => match never {},
        _ = signals.next() => {}
    }
    counters.finish(forward.stats());
    Ok(Exit::SUCCESS)
}

/// Says where connections can be made; programs read the address from it.
fn ready(forward: &Forward, remote: &Remote, target: &str, sessions: &[Session]) -> String {
    let word = if remote.host().is_none() { "port " } else { "" };
    let ids: Vec<&str> = sessions.iter().map(Session::id).collect();
    let plural = if ids.len() == 1 { "" } else { "s" };
    format!("Forwarding {} to {word}{remote} on {target} (session{plural} {})", forward.local_addr(), ids.join(", "))
}

/// Tells what fails, and shows the counters.
async fn tell(forward: &Forward, counters: &mut Counters) -> Infallible {
    let mut refresh = tokio::time::interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(event) = forward.event() => {
                counters.hide();
                match event {
                    ForwardEvent::ConnectionFailed(error) => message::report(&error, None),
                    ForwardEvent::AcceptFailed(problem) => message::report(&not_accepted(problem), None),
                    other => tracing::debug!(event = ?other, "forward"),
                }
            }
            _ = refresh.tick(), if counters.is_live() => counters.show(forward.stats()),
            // Nothing more to tell, until the signal that follows.
            else => return pending().await,
        }
    }
}

/// Makes the error of a local connection that could not be taken.
pub(crate) fn not_accepted(problem: std::io::Error) -> Error {
    let error = Error::new(Kind::ListenFailed, format!("a local connection could not be accepted: {problem}"));
    error.with_hint("check how many files may be open with `ulimit -n`").with_source(problem)
}

async fn tell_events(sessions: Vec<Session>) -> Infallible {
    if sessions.is_empty() {
        return pending().await;
    }
    select_all(sessions.iter().map(|session| Box::pin(message::tell_events(session, "\n")))).await.0
}
