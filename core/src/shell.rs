//! A shell on the far side, in a terminal.

use crate::client::Client;
use crate::session::Session;
use crate::stream::ByteStream;
use crate::{Result, Size, StartSession};

/// Chooses a shell's options; [`ShellBuilder::start`] opens it.
#[derive(Clone, Debug)]
pub struct ShellBuilder {
    client: Client,
    request: StartSession,
    size: Size,
}

impl ShellBuilder {
    pub(crate) fn new(client: Client, target: String) -> Self {
        Self { client, request: StartSession::new(target), size: Size { columns: 80, rows: 24 } }
    }

    /// Sets the terminal's size, 80 by 24 without it.
    #[must_use]
    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = Size { columns, rows };
        self
    }

    /// Sets the session document, the account's default shell without it.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>) -> Self {
        self.request.document_name = Some(name.into());
        self
    }

    /// Adds a value to a parameter of the document.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request = self.request.parameter(name, value);
        self
    }

    /// Sets the reason, for the audit log.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.request.reason = Some(reason.into());
        self
    }

    /// Opens the shell, and waits until it is there.
    ///
    /// # Errors
    /// As [`Client::start_session`] and [`Session::ready`].
    pub async fn start(self) -> Result<Shell> {
        let size = self.size;
        let session = self.client.start(self.request, move |config| config.size = Some(size)).await?;
        session.ready().await?;
        Ok(Shell { session })
    }
}

/// A shell. Dropping it and its streams ends it.
#[derive(Clone, Debug)]
pub struct Shell {
    session: Session,
}

impl Shell {
    /// Returns the terminal: its output to read, its input to write.
    pub fn stdio(&self) -> ByteStream {
        self.session.stdio()
    }

    /// Tells the terminal its size.
    ///
    /// # Errors
    /// [`crate::Kind::Forked`] in a child process.
    pub fn resize(&self, size: Size) -> Result<()> {
        self.session.resize(size)
    }

    /// Returns the session below.
    pub fn session(&self) -> &Session {
        &self.session
    }
}
