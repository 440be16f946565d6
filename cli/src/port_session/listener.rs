//! Where a port session takes its connections: a local port or a Unix socket, as the session's properties say.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ssmwire::{Error, Kind, Result, Session};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The properties that are about this side.
const LOCAL_PORT: &str = "localPortNumber";
const LOCAL_TYPE: &str = "localConnectionType";
/// The type of a session that listens on a Unix socket; all others do on a port (PROTOCOL §9.3).
const UNIX: &str = "unix";
const LOCAL_SOCKET: &str = "localUnixSocket";

/// A listening socket. Dropping it removes a Unix socket's file.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener, u16),
    Unix(UnixListener, PathBuf),
}

/// A connection to it.
#[derive(Debug)]
pub(super) enum Local {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Listens where the session says, else on a free port.
    pub(super) async fn of(session: &Session) -> Result<Self> {
        let value = |name| session.property(name).filter(|value| !value.is_empty());
        if value(LOCAL_TYPE).as_deref() == Some(UNIX)
            && let Some(path) = value(LOCAL_SOCKET)
        {
            let listener = UnixListener::bind(&path).map_err(|problem| failed(&format!("unix:{path}"), problem))?;
            return Ok(Self::Unix(listener, path.into()));
        }
        let port = match value(LOCAL_PORT) {
            None => 0,
            Some(port) => {
                port.parse().map_err(|_| Error::invalid_argument(LOCAL_PORT, format!("is `{port}`, not a port")))?
            }
        };
        let failed = |problem| failed(&format!("{}:{port}", Ipv4Addr::LOCALHOST), problem);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self::Tcp(listener, port))
    }

    pub(super) async fn accept(&self) -> io::Result<Local> {
        match self {
            Self::Tcp(listener, _) => {
                let (local, _) = listener.accept().await?;
                // A connection that is gone already shows that when it is read.
                let _ = local.set_nodelay(true);
                Ok(Local::Tcp(local))
            }
            Self::Unix(listener, _) => Ok(Local::Unix(listener.accept().await?.0)),
        }
    }
}

impl fmt::Display for Listener {
    /// In the words of the official plugin.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, port) => write!(f, "Port {port}"),
            Self::Unix(_, path) => write!(f, "Unix socket {}", path.display()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Somebody may have removed it before.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Local {
    pub(super) fn split(
        &mut self,
    ) -> (Box<dyn AsyncRead + Send + Unpin + '_>, Box<dyn AsyncWrite + Send + Unpin + '_>) {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.split();
                (Box::new(reader), Box::new(writer))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.split();
                (Box::new(reader), Box::new(writer))
            }
        }
    }

    /// Makes the end of the connection look like a failure, not like its end, where the kind of socket can.
    pub(super) fn reset(&self) {
        if let Self::Tcp(stream) = self {
            // A socket that can't be told is closed the ordinary way.
            let _ = stream.set_zero_linger();
        }
    }
}

fn failed(address: &str, problem: io::Error) -> Error {
    Error::new(Kind::ListenFailed, format!("can't listen on `{address}`: {problem}")).with_source(problem)
}
