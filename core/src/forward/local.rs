//! The local end of a forward: an address that is listened on, and the connections that come.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::{Error, Kind, Result};

/// A text of this form names a Unix socket.
const UNIX: &str = "unix:";

/// Where a forward listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalAddr {
    /// An IP address and the real port, also if port 0 was asked for.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl LocalAddr {
    /// Returns the TCP port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for LocalAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        _file: SocketFile,
    },
}

/// A Unix socket's file, which goes with its listener.
#[cfg(unix)]
pub(super) struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that is gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on `HOST:PORT` or `unix:PATH`.
    pub(super) async fn bind(text: &str) -> Result<(Self, LocalAddr)> {
        let failed = |error: io::Error| {
            Error::new(Kind::ListenFailed, format!("can't listen on `{text}`: {error}")).with_source(error)
        };
        #[cfg(unix)]
        if let Some(path) = text.strip_prefix(UNIX) {
            return bind_unix(PathBuf::from(path)).map_err(failed);
        }
        let is_whole =
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_whole {
            let problem = format!("`{text}` is not `HOST:PORT` or `unix:PATH`");
            return Err(Error::invalid_argument("bind", problem));
        }
        let listener = TcpListener::bind(text).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok((Self::Tcp(listener), LocalAddr::Tcp(address)))
    }

    pub(super) async fn accept(&self) -> io::Result<Local> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // One that is gone already shows that when it is read.
                let _ = stream.set_nodelay(true);
                Ok(Local::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix { listener, .. } => Ok(Local::Unix(listener.accept().await?.0)),
        }
    }
}

/// Only the user may connect: what is behind the socket may take anybody who can reach it.
#[cfg(unix)]
fn bind_unix(path: PathBuf) -> io::Result<(Listener, LocalAddr)> {
    use std::os::unix::fs::PermissionsExt;
    let listener = UnixListener::bind(&path)?;
    let file = SocketFile(path.clone());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok((Listener::Unix { listener, _file: file }, LocalAddr::Unix(path)))
}

/// One local connection.
pub(super) enum Local {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Local {
    /// Ends the connection in such a way that the program behind it sees an error, not an end.
    pub(super) fn reset(self) {
        match self {
            Self::Tcp(stream) => {
                // A socket that can't be told is closed the ordinary way.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }
}

macro_rules! inner {
    ($local:expr, $method:ident($($argument:expr),*)) => {
        match $local.get_mut() {
            Local::Tcp(inner) => Pin::new(inner).$method($($argument),*),
            #[cfg(unix)]
            Local::Unix(inner) => Pin::new(inner).$method($($argument),*),
        }
    };
}

impl AsyncRead for Local {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Local {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        inner!(self, poll_write(cx, data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_shutdown(cx))
    }
}
