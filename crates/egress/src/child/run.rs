//! Running a program to its end for what it prints.

use std::io;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{ChildOptions, Exit, SPAWNS};
use crate::error::EgressError;

/// What of stderr is kept, in bytes.
const STDERR_BYTES_MAX: usize = 16 * 1024;

/// What came of a program.
#[derive(Debug, Clone)]
pub struct Ran {
    /// How it ended.
    pub exit: Exit,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// The beginning of what it said besides.
    pub stderr: Vec<u8>,
}

/// Reads all, and keeps so much of it. Whether there was more.
async fn read(from: impl AsyncRead + Unpin, bytes_max: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut from = from;
    let mut kept = Vec::new();
    (&mut from).take(bytes_max as u64).read_to_end(&mut kept).await?;
    let more = tokio::io::copy(&mut from, &mut tokio::io::sink()).await? > 0;
    Ok((kept, more))
}

/// Runs a program to its end, with nothing to read, and gives what it printed.
///
/// # Errors
/// As [`super::Child::spawn`]; [`EgressError::BodyTooLarge`] where it prints more than `bytes_max`,
/// [`EgressError::TotalTimeout`] where it takes longer than `time`, and is killed then.
pub async fn run(options: ChildOptions, bytes_max: usize, time: Duration) -> Result<Ran, EgressError> {
    let mut command = options.command()?;
    SPAWNS.fetch_add(1, Ordering::Relaxed);
    let failed = |source: io::Error| EgressError::Spawn {
        program: options.argv.first().map_or("", String::as_str).into(),
        source: source.into(),
    };
    let mut child = command.stdin(Stdio::null()).spawn().map_err(failed)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(io::Error::other("the pipes are missing")));
    };
    let all = async {
        let (out, said) = tokio::try_join!(read(stdout, bytes_max), read(stderr, STDERR_BYTES_MAX))?;
        Ok((out, said, child.wait().await?))
    };
    let done =
        tokio::time::timeout(time, all).await.map_err(|_| EgressError::TotalTimeout { after: time })?;
    let ((stdout, more), (stderr, _), status) = done.map_err(failed)?;
    if more {
        return Err(EgressError::BodyTooLarge { limit_bytes: bytes_max as u64 });
    }
    Ok(Ran { exit: status.into(), stdout, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> ChildOptions {
        ChildOptions { argv: words.iter().map(|&word| word.to_owned()).collect(), ..ChildOptions::default() }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_a_program_prints_comes_to_the_byte_and_no_shell_reads_its_words() {
        let ran = run(options(&["printf", "%s", "a\n\n$(id) 'b'\r\n"]), 100, LONG).await.unwrap();
        assert_eq!((ran.stdout.as_slice(), ran.exit.code), (b"a\n\n$(id) 'b'\r\n".as_slice(), Some(0)));
        let ran = run(options(&["ls", "/no/such/folder"]), 100, LONG).await.unwrap();
        assert!(ran.exit.code != Some(0) && !ran.stderr.is_empty());
    }

    #[tokio::test]
    async fn what_prints_too_much_or_takes_too_long_is_given_up() {
        let much = run(options(&["printf", "%s", "12345"]), 4, LONG).await;
        assert!(matches!(much, Err(EgressError::BodyTooLarge { limit_bytes: 4 })), "{much:?}");
        let long = run(options(&["sleep", "60"]), 4, Duration::from_millis(20)).await;
        assert!(matches!(long, Err(EgressError::TotalTimeout { .. })), "{long:?}");
        let none = run(options(&["/no/such/program"]), 4, LONG).await;
        assert!(matches!(none, Err(EgressError::Spawn { .. })), "{none:?}");
    }
}
