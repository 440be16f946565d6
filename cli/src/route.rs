//! What `forward` is to join: `[BIND:]PORT:[HOST:]PORT`, `[HOST:]PORT` or `unix:PATH:[HOST:]PORT`.

use ssmwire::Remote;

/// Where connections are taken and where they lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The local address, if one was named.
    pub(crate) bind: Option<String>,
    /// The far port.
    pub(crate) remote: Remote,
}

/// Reads a route.
///
/// A number before the last colon but one is a local port, as it is for `ssh -L`; anything else there is a host. The
/// path of a socket ends at its first colon.
pub(crate) fn parse(text: &str) -> Result<Route, String> {
    let route = match text.strip_prefix("unix:") {
        Some(rest) => parse_unix(rest),
        None => parse_tcp(text),
    };
    route.ok_or_else(|| "not `[BIND:]PORT:[HOST:]PORT`, `[HOST:]PORT` or `unix:PATH:[HOST:]PORT`".to_owned())
}

/// Reads a far port.
pub(crate) fn remote(text: &str) -> Result<Remote, String> {
    text.parse().map_err(|_| "not `PORT` or `HOST:PORT`".to_owned())
}

/// Where a forward listens that names a port only.
const LOOPBACK: &str = "127.0.0.1";

fn parse_unix(text: &str) -> Option<Route> {
    let (path, far) = text.split_once(':').filter(|(path, _)| !path.is_empty())?;
    Some(Route { bind: Some(format!("unix:{path}")), remote: remote(far).ok()? })
}

fn parse_tcp(text: &str) -> Option<Route> {
    let parts = parts(text);
    // A number that is too large is a mistake, not a host.
    if parts.iter().any(|part| part.is_empty() || is_number(part) && !is_port(part)) {
        return None;
    }
    let bind = |host: &str, port: &str| Some(format!("{host}:{port}"));
    let (bind, far) = match parts.as_slice() {
        [local, port] if is_port(local) => (bind(LOOPBACK, local), (*port).to_owned()),
        [local, host, port] if is_port(local) => (bind(LOOPBACK, local), format!("{host}:{port}")),
        [host, local, port] if is_port(local) => (bind(host, local), (*port).to_owned()),
        [host, local, far, port] if is_port(local) => (bind(host, local), format!("{far}:{port}")),
        [_] | [_, _] => (None, text.to_owned()),
        _ => return None,
    };
    Some(Route { bind, remote: remote(&far).ok()? })
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Splits at the colons, but for those in brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    let is_end = |c: char| {
        is_inside = c == '[' || is_inside && c != ']';
        c == ':' && !is_inside
    };
    text.split(is_end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_as_ssh_reads_it_and_a_local_port_may_be_missing() {
        for (text, bind, far) in [
            ("5432", None, "5432"),
            ("db.internal:5432", None, "db.internal:5432"),
            ("[fd00::7]:22", None, "[fd00::7]:22"),
            ("8080:80", Some("127.0.0.1:8080"), "80"),
            ("0:80", Some("127.0.0.1:0"), "80"),
            ("8080:db.internal:5432", Some("127.0.0.1:8080"), "db.internal:5432"),
            ("8080:[fd00::7]:22", Some("127.0.0.1:8080"), "[fd00::7]:22"),
            ("0.0.0.0:8080:80", Some("0.0.0.0:8080"), "80"),
            ("[::1]:8080:80", Some("[::1]:8080"), "80"),
            ("localhost:8080:[fd00::7]:22", Some("localhost:8080"), "[fd00::7]:22"),
            ("unix:/run/db.sock:5432", Some("unix:/run/db.sock"), "5432"),
            ("unix:db.sock:db.internal:5432", Some("unix:db.sock"), "db.internal:5432"),
        ] {
            let route = parse(text).expect(text);
            assert_eq!((route.bind.as_deref(), route.remote.to_string().as_str()), (bind, far), "{text}");
        }
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for text in [
            "",
            "0",
            "db",
            "db:0",
            ":80",
            ":8080:80",
            "8080::80",
            "8080:0",
            "70000:80",
            "db:x:80",
            "a:1:b:2:3",
            "[::1:80",
            "::1:80",
            "unix:",
            "unix:5432",
            "unix::5432",
            "unix:/run/s:",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
