//! Steps with a header, a time and an honest sum; and programs that are started and always stopped.

use crate::Result;
use crate::workspace::Workspace;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// What a step counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    /// Failures that a checked-in list names with a reason.
    pub expected: usize,
    pub skipped: usize,
}

impl Counts {
    /// A step that is one check in itself.
    pub const ONE: Self = Self { passed: 1, failed: 0, expected: 0, skipped: 0 };

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.expected += other.expected;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.expected > 0 {
            write!(f, ", {} expected to fail", self.expected)?;
        }
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// How a step ended.
#[derive(Debug)]
pub enum Outcome {
    /// It ran to its end; what it counted may still hold failures.
    Ran(Counts),
    /// It could not run and need not; the text says how to make it run.
    Skipped(String),
}

/// One step of a check.
pub struct Step {
    pub name: &'static str,
    pub run: fn(&Workspace) -> Result<Outcome>,
}

/// Runs the steps in order, all of them also where one fails, and prints the sum.
pub fn steps(workspace: &Workspace, steps: &[Step]) -> Result {
    let mut lines = Vec::new();
    let mut total = Counts::default();
    for step in steps {
        println!("\n== {}", step.name);
        let begun = Instant::now();
        let (counts, note) = match (step.run)(workspace) {
            Ok(Outcome::Ran(counts)) => (counts, String::new()),
            Ok(Outcome::Skipped(why)) => (Counts { skipped: 1, ..Counts::default() }, format!(" ({why})")),
            Err(message) => {
                eprintln!("{message}");
                (Counts { failed: 1, ..Counts::default() }, String::new())
            }
        };
        total.add(counts);
        let seconds = begun.elapsed().as_secs_f64();
        let mark = if counts.failed > 0 { "FAILED" } else { "ok" };
        let line = format!("{mark:>6} {:<14} {seconds:>7.1} s  {counts}{note}", step.name);
        println!("{line}");
        lines.push(line);
    }
    println!("\n== summary\n{}\n\n{total}", lines.join("\n"));
    // The sum stays the last line: it says all that there is to say.
    if total.failed > 0 { Err(String::new()) } else { Ok(()) }
}

/// The cargo that runs this program, free of what it told this program about its own package.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_")
        {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a program can be started and answers well.
pub fn answers(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// A command that dies with this program, where the machine can arrange that.
pub fn bound(program: &Path) -> Command {
    if answers(Command::new("setpriv").args(["--pdeathsig", "KILL", "true"])) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// A running program whose output goes to a file. It is stopped when this value goes.
///
/// A file and no pipe: what the program leaves behind can then never hold up the reader.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: File,
}

impl Running {
    /// Starts `command` with its output in `log`, from both streams.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let fail = |e: std::io::Error| format!("{name}: {}: {e}", log.display());
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).map_err(fail)?;
        }
        let out = File::create(log).map_err(fail)?;
        let err = out.try_clone().map_err(fail)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
        Ok(Self { name: name.to_owned(), child, log: File::open(log).map_err(fail)? })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The output since the last call.
    pub fn output(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        self.log.read_to_end(&mut bytes).map_err(|e| format!("{}: its output: {e}", self.name))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All output so far.
    pub fn whole_output(&mut self) -> Result<String> {
        self.log.seek(SeekFrom::Start(0)).map_err(|e| format!("{}: its output: {e}", self.name))?;
        self.output()
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|e| format!("{}: {e}", self.name))
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&mut self) -> Result {
        if answers(Command::new("kill").args(["-TERM", &self.child.id().to_string()])) {
            Ok(())
        } else {
            Err(format!("{} cannot be asked to end: it has ended already", self.name))
        }
    }

    /// Waits for its end, at most `limit`.
    pub fn finish(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if begun.elapsed() > limit {
                return Err(format!("{} did not end within {} s", self.name, limit.as_secs()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until `find` finds something in the output, at most `limit`; `missing` says what it looks for.
    pub fn wait_for<T>(
        &mut self,
        missing: &str,
        limit: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            // In this order: what it wrote before its end is seen also when it has ended.
            let ended = self.ended()?;
            let output = self.whole_output()?;
            if let Some(found) = find(&output) {
                return Ok(found);
            }
            let missed = match ended {
                Some(status) => format!("ended ({status}) and did not print {missing}"),
                None if begun.elapsed() > limit => {
                    format!("did not print {missing} within {} s", limit.as_secs())
                }
                None => {
                    std::thread::sleep(LOOK);
                    continue;
                }
            };
            return Err(format!("{} {missed}; it printed:\n{}", self.name, tail(&output, 20)));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command, shows its output while it comes, and gives back all of it.
pub fn show(workspace: &Workspace, name: &str, command: &mut Command) -> Result<(ExitStatus, String)> {
    let log = workspace.root.join("out/check").join(format!("{name}.log"));
    let mut running = Running::start(name, command, &log)?;
    let mut stdout = std::io::stdout();
    loop {
        let ended = running.ended()?;
        let text = running.output()?;
        let shown = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        shown.map_err(|e| format!("{name}: {e}"))?;
        if let Some(status) = ended {
            return Ok((status, running.whole_output()?));
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs a command that is one check in itself.
pub fn must(workspace: &Workspace, name: &str, command: &mut Command) -> Result<Outcome> {
    let (status, _) = show(workspace, name, command)?;
    if status.success() { Ok(Outcome::Ran(Counts::ONE)) } else { Err(format!("{name} failed ({status})")) }
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("xtask-run-{}-{name}.log", std::process::id()))
    }

    #[test]
    fn the_sum_names_what_there_is() {
        let mut counts = Counts::ONE;
        assert_eq!(counts.to_string(), "1 passed, 0 failed");
        counts.add(Counts { passed: 2, failed: 1, expected: 4, skipped: 3 });
        assert_eq!(counts.to_string(), "3 passed, 1 failed, 4 expected to fail, 3 skipped");
    }

    #[test]
    fn a_program_that_ends_without_the_word_is_told_apart_from_one_that_says_it() {
        let path = log("word");
        let find = |word: &'static str| move |text: &str| text.contains(word).then_some(());
        let mut command = Command::new("sh");
        let mut running =
            Running::start("it", command.args(["-c", "echo here >&2; exit 3"]), &path).expect("start");
        running.wait_for("here", Duration::from_secs(20), find("here")).expect("found after the end");
        let told =
            running.wait_for("there", Duration::from_secs(20), find("there")).expect_err("never printed");
        assert!(told.starts_with("it ended (exit status: 3) and did not print there"), "{told}");
        assert!(told.ends_with("it printed:\nhere"), "{told}");
        std::fs::remove_file(path).expect("the log is there");
    }

    #[test]
    fn a_running_program_is_stopped_when_its_value_goes() {
        let path = log("stop");
        let mut command = bound(Path::new("sleep"));
        let running = Running::start("sleep", command.arg("600"), &path).expect("start");
        let id = running.child.id().to_string();
        assert!(answers(Command::new("kill").args(["-0", &id])));
        drop(running);
        assert!(!answers(Command::new("kill").args(["-0", &id])));
        std::fs::remove_file(path).expect("the log is there");
    }

    #[test]
    fn a_program_that_takes_too_long_is_told() {
        let path = log("long");
        let mut running = Running::start("sleep", Command::new("sleep").arg("600"), &path).expect("start");
        let told = running.finish(Duration::ZERO).expect_err("it sleeps");
        assert_eq!(told, "sleep did not end within 0 s");
        let told = running.wait_for("a word", Duration::ZERO, |_| None::<()>).expect_err("it says nothing");
        assert_eq!(told, "sleep did not print a word within 0 s; it printed:\n");
        std::fs::remove_file(path).expect("the log is there");
    }

    #[test]
    fn the_tail_of_a_text_is_its_last_lines() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
