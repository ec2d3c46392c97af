//! Exit codes; `docs/cli.md` lists them.

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

/// The exit code of an error.
pub fn of(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Coded>().map_or(FAILURE, |coded| coded.code)
}
