//! What an agent needs to be hosted by the emulator: an authority to trust, credentials, a configuration.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use ssmwire::{Error, Result};
use ssmwire_emulator::Emulator;
use uuid::Uuid;

/// The node that an agent with the configuration as it is printed becomes.
const INSTANCE: &str = "i-0123456789abcdef0";

/// The file with the authority's certificate.
pub(crate) struct CaFile {
    path: PathBuf,
    is_temporary: bool,
}

impl CaFile {
    /// Writes a certificate where it is asked for, else to a new temporary file, which is there as long as this value.
    pub(crate) fn write(asked: Option<&Path>, pem: &str) -> Result<Self> {
        let temporary = || std::env::temp_dir().join(format!("ssmwire-ca-{}.pem", Uuid::new_v4().simple()));
        let path = asked.map_or_else(temporary, Path::to_owned);
        let mut options = OpenOptions::new();
        match asked {
            Some(_) => options.write(true).create(true).truncate(true),
            // Nobody else has put something there that it would be written through.
            None => options.write(true).create_new(true),
        };
        let written = options.open(&path).and_then(|mut file| file.write_all(pem.as_bytes()));
        written.map_err(|problem| {
            let text = format!("cannot be written to `{}`: {problem}", path.display());
            Error::invalid_argument("--ca-file", text).with_source(problem)
        })?;
        let path = std::path::absolute(&path).unwrap_or(path);
        Ok(Self { path, is_temporary: asked.is_none() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if self.is_temporary {
            // It holds no secret; one that stays does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What an agent needs.
pub(crate) struct Needs {
    ca_file: String,
    endpoint: String,
    environment: Vec<(&'static str, String)>,
    configuration: Value,
}

impl Needs {
    /// Returns what an agent of an emulator needs, if that serves TLS.
    pub(crate) fn of(emulator: &Emulator, ca_file: &Path) -> Option<Self> {
        Some(Self {
            ca_file: ca_file.display().to_string(),
            endpoint: emulator.tls_endpoint_url()?,
            environment: emulator.agent_environment(),
            configuration: emulator.agent_configuration(INSTANCE)?,
        })
    }

    pub(crate) fn as_json(&self) -> Value {
        let environment: Map<String, Value> =
            self.environment.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
        json!({
            "ca_file": self.ca_file,
            "endpoint": self.endpoint,
            "environment": environment,
            "configuration": self.configuration,
        })
    }
}

impl fmt::Display for Needs {
    /// As comments, since a shell may evaluate what is around it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# An amazon-ssm-agent in DIR, a directory of root's, reaches this emulator at {}. It needs",
            self.endpoint
        )?;
        writeln!(f, "# this file as DIR/certs/amazon-ssm-agent.crt: {}", self.ca_file)?;
        writeln!(f, "# in its environment:")?;
        for (name, value) in &self.environment {
            writeln!(f, "#   {name}={value}")?;
        }
        writeln!(f, "# as DIR/configuration/amazon-ssm-agent.json:")?;
        let configuration = serde_json::to_string_pretty(&self.configuration).map_err(|_| fmt::Error)?;
        configuration.lines().try_for_each(|line| writeln!(f, "#   {line}"))
    }
}
