//! Programs that are measured: known by their process id, and always stopped.

use crate::Result;
use crate::run::{answers, tail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program may take to end once it is asked to.
const END: Duration = Duration::from_secs(10);
/// The unit of processor time in `/proc/PID/stat`, which has been the same on every Linux for twenty years.
const TICK: Duration = Duration::from_millis(10);

/// A running program. It is asked to end when this value goes, and then made to.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

/// A command with as many open files as the machine allows, that ends with this program.
pub fn command(program: &Path) -> Command {
    let raised = ["-c", "ulimit -S -n \"$(ulimit -H -n)\"; exec \"$0\" \"$@\""];
    if answers(Command::new("setpriv").args(["--pdeathsig", "TERM", "true"])) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--", "sh"]).args(raised).arg(program);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(raised).arg(program);
        command
    }
}

impl Program {
    /// Starts a command with its output in a file of that folder.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let fail = |e: std::io::Error| format!("{name}: {}: {e}", log.display());
        let out = File::create(&log).map_err(fail)?;
        let err = out.try_clone().map_err(fail)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `find` finds something in the output.
    pub fn wait_for<T>(
        &mut self,
        missing: &str,
        limit: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait().map_err(|e| format!("{}: {e}", self.name))?;
            let bytes = std::fs::read(&self.log).map_err(|e| format!("{}: {e}", self.name))?;
            let output = String::from_utf8_lossy(&bytes);
            if let Some(found) = find(&output) {
                return Ok(found);
            }
            if ended.is_some() || begun.elapsed() > limit {
                return Err(format!("{} did not print {missing}:\n{}", self.name, tail(&output, 20)));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result {
        if self.end() { Ok(()) } else { Err(format!("{} did not end when it was asked to", self.name)) }
    }

    fn end(&mut self) -> bool {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return true;
        }
        answers(Command::new("kill").args(["-TERM", &self.pid().to_string()]));
        let begun = Instant::now();
        while begun.elapsed() < END {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(LOOK);
        }
        false
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.end() {
            // Both fail only where the program has ended by now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What a process and its children have used of the processors.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let read = |path: String| std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"));
    let children = read(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let mut ticks = 0;
    for pid in std::iter::once(pid).chain(children) {
        ticks += parse_ticks(&read(format!("/proc/{pid}/stat"))?).ok_or("no processor time in /proc")?;
    }
    Ok(TICK * ticks)
}

/// The user's and the kernel's part, fields 14 and 15; the name before them may contain anything.
fn parse_ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

/// What is resident of a process, in MiB.
pub fn resident_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| format!("{path}: no VmRSS"))?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_after_the_last_parenthesis() {
        let stat = "7 (a) b)) S 1 7 7 0 -1 4194560 170 0 0 0 12 30 0 0 20 0 1 0 99 0 0";
        assert_eq!(parse_ticks(stat), Some(42));
        assert_eq!(parse_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        assert!(cpu_time(std::process::id()).is_ok());
        assert!(resident_mib(std::process::id()).is_ok_and(|mib| mib > 1.0));
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn a_program_is_known_by_its_own_id_and_ends_when_it_is_asked_to() {
        let folder = std::env::temp_dir().join(format!("xtask-bench-program-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut command = command(Path::new("sh"));
        command.args(["-c", "echo $$; exec sleep 60"]);
        let mut program = Program::start("it", &mut command, &folder).expect("it starts");
        let line = |output: &str| output.split_once('\n').map(|(line, _)| line.to_owned());
        let printed = program.wait_for("its id", Duration::from_secs(20), line).expect("it prints");
        assert_eq!(printed, program.pid().to_string());
        let told = program.wait_for("more", Duration::ZERO, |_| None::<()>).expect_err("no more");
        assert!(told.starts_with("it did not print more"), "{told}");
        program.stop().expect("it ends");
        std::fs::remove_dir_all(folder).expect("the folder is there");
    }
}
