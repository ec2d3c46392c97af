//! Exit codes; `docs/cli.md` lists them.

use std::error::Error;
use std::io::ErrorKind;

use server::{ComposeError, StartError};

/// Something went wrong that has no code of its own.
pub const FAILURE: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 2;
/// The configuration is wrong; nothing was started.
pub const CONFIG: u8 = 3;

/// The gateway or the server refused: unreachable, unknown name, an error of its own.
pub const REFUSED: u8 = 4;
/// The tool ran and says that it failed.
pub const TOOL_FAILED: u8 = 5;

/// An error that names its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Coded {
    /// The exit code.
    pub code: u8,
    /// What to print.
    pub text: String,
}

impl Coded {
    /// The configuration is wrong; `text` completes "failed to …".
    pub fn config(text: String) -> Self {
        Self { code: CONFIG, text }
    }

    /// The configuration is well written, and cannot be put in force.
    pub fn compose(error: &ComposeError) -> Self {
        Self::config(format!("use the configuration: {}", chain(error)))
    }

    /// Why the gateway does not start.
    pub fn start(error: &StartError) -> Self {
        match error {
            StartError::Compose(error) => Self::compose(error),
            StartError::Tls { .. } => Self::config(format!("use the configuration: {}", chain(error))),
            StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse => {
                let hint = "another program has it, maybe another gateway; choose one with --listen";
                Self { code: FAILURE, text: format!("{}; {hint}", chain(error)) }
            }
            StartError::Listen { .. } => Self { code: FAILURE, text: chain(error) },
        }
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The exit code of an error.
pub fn of(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Coded>().map_or(FAILURE, |coded| coded.code)
}
