//! Exit codes; `docs/cli.md` lists them.

use std::error::Error;
use std::io::ErrorKind;

use config::{Diagnostic, Diagnostics};
use server::policies::PolicyError;
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
/// It was done, and something that guards was lost on the way.
pub const GUARDS_LOST: u8 = 6;

/// An error that names its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Coded {
    /// The exit code.
    pub code: u8,
    /// What to print.
    pub text: String,
    /// What is wrong with the configuration, where that is why.
    pub faults: Option<Diagnostics>,
}

impl Coded {
    /// An error with this code; `text` completes "failed to …".
    pub fn new(code: u8, text: String) -> Self {
        Self { code, text, faults: None }
    }

    /// The configuration is wrong; `text` completes "failed to …".
    pub fn config(text: String) -> Self {
        Self::new(CONFIG, text)
    }

    /// The configuration is badly written.
    pub fn faults(faults: Diagnostics) -> Self {
        Self { faults: Some(faults.clone()), ..Self::config(format!("use the configuration:\n{faults}")) }
    }

    /// The policies of a configuration cannot be used.
    pub fn policies(error: &PolicyError) -> Self {
        let PolicyError::Faults(faults) = error else {
            return Self::config(format!("use the policies: {}", chain(error)));
        };
        let list = faults.iter().map(|fault| Diagnostic {
            file: fault.file.clone(),
            line: fault.line,
            column: fault.column,
            path: String::new(),
            message: fault.message.clone(),
            hint: fault.hint.clone(),
        });
        Self { faults: Diagnostics::new(list.collect()), ..Self::config(error.to_string()) }
    }

    /// The configuration is well written, and cannot be put in force.
    pub fn compose(error: &ComposeError) -> Self {
        Self::config(format!("use the configuration: {}", chain(error)))
    }

    /// The configuration is well written, and means something that cannot be.
    pub fn of_config(error: &(dyn Error + 'static)) -> Self {
        Self::config(chain(error))
    }

    /// The store cannot be used.
    pub fn store(error: &(dyn Error + 'static)) -> Self {
        Self::new(FAILURE, chain(error))
    }

    /// Why the gateway does not start.
    pub fn start(error: &StartError) -> Self {
        match error {
            StartError::Compose(error) => Self::compose(error),
            StartError::Tls(_) => Self::config(format!("use the configuration: {}", chain(error))),
            StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse => {
                let hint = "another program has it, maybe another gateway; choose one with --listen";
                Self::new(FAILURE, format!("{}; {hint}", chain(error)))
            }
            StartError::Listen { .. } => Self::new(FAILURE, chain(error)),
        }
    }
}

/// An error that has no code of its own, with what caused it.
pub fn failed(error: impl Error + 'static) -> Coded {
    Coded::new(FAILURE, chain(&error))
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
