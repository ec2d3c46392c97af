//! Where secrets come from.

use std::io::{self, Read as _};

use config::{SECRET_BYTES_MAX, SecretPlace};

/// Gets what a file holds or a program prints. It may wait as long as the program may take; on a runtime of
/// several threads others go on meanwhile.
///
/// # Errors
/// Where the file cannot be read, or the program fails, takes too long or prints too much. It never has any
/// of what the program printed.
pub fn fetch(place: SecretPlace<'_>) -> io::Result<Vec<u8>> {
    let bytes_max = SECRET_BYTES_MAX.saturating_add(1);
    match place {
        SecretPlace::File(path) => {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path)?;
            file.take(u64::try_from(bytes_max).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        SecretPlace::Command(command) => {
            egress::output_of(&command.command, &command.pass, command.timeout.into(), bytes_max)
        }
    }
}
