//! From a file's text to a checked configuration.

use crate::check::{self, Report};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::layers::{Given, Layer, load_layers};
use crate::section::Config;
use crate::source::{self, Fault, Node};

/// The largest configuration file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads and checks a configuration in YAML. `file_name` is only for messages. Empty text is all defaults.
///
/// # Errors Everything that is wrong with it, with positions. A fault in the syntax hides what comes after
/// it; others do not.
pub fn load_str(text: &str, file_name: &str) -> Result<Config, Diagnostics> {
    load_layers(&[Layer { name: file_name, bytes: text.as_bytes() }], &Given::default())
        .map(|layered| layered.config)
}

/// As [`load_str`], for the bytes of a file.
///
/// # Errors
/// As [`load_str`], and where the bytes are not UTF-8.
pub fn load_slice(bytes: &[u8], file_name: &str) -> Result<Config, Diagnostics> {
    load_str(utf8(bytes, file_name)?, file_name)
}

/// The typed configuration of a document in which `faults` were already found.
pub(crate) fn checked(root: &Node, mut faults: Vec<Fault>) -> Result<Config, Vec<Fault>> {
    let config: Option<Config> = source::read(root, &mut faults);
    let found = config.as_ref().map(|config| {
        let mut report = Report::new(root, &faults);
        check::run(config, &mut report);
        report.into_faults()
    });
    faults.extend(found.unwrap_or_default());
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}

/// Faults as they are shown. There is at least one.
pub(crate) fn shown(faults: Vec<Fault>, files: &[&str]) -> Diagnostics {
    let list = faults.into_iter().map(|fault| fault.diagnostic(files)).collect();
    Diagnostics::new(list).expect("a file without faults is loaded")
}

pub(crate) fn utf8<'a>(bytes: &'a [u8], file_name: &str) -> Result<&'a str, Diagnostics> {
    std::str::from_utf8(bytes).map_err(|error| {
        // As YAML has it, a CR ends a line too.
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let valid = valid.replace("\r\n", "\n").replace('\r', "\n");
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Diagnostics::one(Diagnostic {
            file: file_name.to_owned(),
            line: count(line),
            column: count(column),
            path: String::new(),
            message: "the file is not UTF-8".to_owned(),
            hint: None,
        })
    })
}
