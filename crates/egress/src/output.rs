//! What a program prints, once: for values that a vault or a keychain hands out.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

/// The variables of the gateway's environment that every program gets.
const USUAL: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "USER"];
/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a program to its end and gives what it printed: at most `bytes_max` bytes, within `timeout`. No shell
/// reads its arguments; it gets nothing to read, and of the environment the usual variables and those of
/// `pass`. It is stopped where it takes too long or prints too much. Blocks this thread.
///
/// # Errors
/// Where it does not start, fails, takes too long or prints too much. Nothing that it printed is in them.
pub fn output_of(
    command: &[String],
    pass: &[String],
    timeout: Duration,
    bytes_max: usize,
) -> io::Result<Vec<u8>> {
    let run = || run(command, pass, timeout, bytes_max);
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(run),
        _ => run(),
    }
}

/// A program that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &[String], pass: &[String], timeout: Duration, bytes_max: usize) -> io::Result<Vec<u8>> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    #[expect(clippy::disallowed_methods, reason = "egress is where processes are started")]
    let mut starting = Command::new(program);
    starting.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).env_clear();
    for name in USUAL.iter().copied().chain(pass.iter().map(String::as_str)) {
        starting.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    let mut running = Running(starting.spawn()?);
    let pipe = running.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (tell, told) = mpsc::channel();
    // A child of the program may hold the pipe open for longer than it runs itself: nobody waits for that.
    std::thread::Builder::new().name("secret".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let _ = tell.send(pipe.take(limit).read_to_end(&mut bytes).map(|_| bytes));
    })?;
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {timeout:?}"));
    let begun = tokio::time::Instant::now();
    let bytes = told.recv_timeout(timeout).map_err(|_| late())??;
    if bytes.len() > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it printed more than {bytes_max} bytes"),
        ));
    }
    loop {
        match running.0.try_wait()? {
            Some(status) if status.success() => return Ok(bytes),
            Some(status) => return Err(io::Error::other(format!("it ended with {status}"))),
            None if begun.elapsed() > timeout => return Err(late()),
            None => std::thread::sleep(LOOK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(command: &[&str], timeout: Duration, bytes_max: usize) -> Result<String, io::Error> {
        let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
        output_of(&command, &[], timeout, bytes_max).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_program_prints_a_value_and_no_shell_reads_its_arguments() {
        assert_eq!(output(&["echo", "-n", "$HOME; `id`"], LONG, 100).expect("it prints"), "$HOME; `id`");
    }

    #[test]
    fn it_gets_the_usual_variables_and_those_that_are_passed() {
        let of = |pass: &[&str]| {
            let pass: Vec<String> = pass.iter().map(|name| (*name).to_owned()).collect();
            let bytes = output_of(&["env".to_owned()], &pass, LONG, 100_000).expect("it prints");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        // Set by cargo for each test.
        assert!(!of(&[]).contains("CARGO_MANIFEST_DIR=") && of(&[]).contains("PATH="));
        assert!(of(&["CARGO_MANIFEST_DIR", "NO_SUCH_VARIABLE"]).contains("CARGO_MANIFEST_DIR="));
    }

    #[test]
    fn a_program_that_fails_is_late_or_prints_too_much_gives_nothing() {
        assert_eq!(output(&["/no/such/program"], LONG, 9).expect_err("none").kind(), io::ErrorKind::NotFound);
        let failed =
            output(&["sh", "-c", "echo hunter2; exit 3"], LONG, 100).expect_err("it fails").to_string();
        assert!(failed.contains("exit status: 3") && !failed.contains("hunter2"), "{failed}");
        let late = output(&["sleep", "60"], Duration::from_millis(50), 9).expect_err("it is late");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let much = output(&["yes"], LONG, 1000).expect_err("it is too much");
        assert_eq!(much.kind(), io::ErrorKind::FileTooLarge);
        assert!(output(&[], LONG, 9).is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn others_go_on_meanwhile() {
        assert_eq!(output(&["echo", "x"], LONG, 9).expect("it prints"), "x\n");
    }
}
