//! Printing results. A reader that has seen enough, such as `head`, ends the program quietly.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Prints a line on stdout.
pub fn line(text: impl Display) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
        let code = if error.kind() == ErrorKind::BrokenPipe { 0 } else { i32::from(crate::exit::FAILURE) };
        std::process::exit(code);
    }
}
