//! PostgreSQL's programs on this machine, and the account that they run under.

use crate::Result;
use crate::run::{Running, answers, tail};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The oldest that the store supports.
const MAJOR_MIN: u32 = 15;

/// The longest that installing it may take.
const INSTALL: Duration = Duration::from_secs(300);

/// Accounts that it runs under where the caller is root, which it refuses; the first that exists.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// The programs, or why they cannot be had here and what to do about it.
#[derive(Debug)]
pub enum Found {
    Programs(Programs),
    Nothing(String),
}

/// Where the programs are, and who they run as.
#[derive(Debug, Clone)]
pub struct Programs {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
    /// An account instead of the caller's.
    pub account: Option<Account>,
    /// Whether `setpriv` is here, which ends a server with the program that started it.
    setpriv: bool,
}

/// An account without rights, by its numbers.
#[derive(Debug, Clone)]
pub struct Account {
    name: String,
    pub user: u32,
    pub group: u32,
}

/// Finds the programs; installs them where this machine's way to do that is known.
pub fn find(workspace: &Workspace) -> Result<Found> {
    let root = number(&["-u"]) == Some(0);
    let mut folder = newest(folders());
    if folder.is_none() && root && answers(Command::new("apt-get").arg("--version")) {
        install(workspace)?;
        folder = newest(folders());
    }
    let Some(folder) = folder else {
        return Ok(Found::Nothing(format!(
            "PostgreSQL {MAJOR_MIN} or newer is not installed: initdb and postgres \
             (Debian: apt-get install postgresql)"
        )));
    };
    let setpriv = answers(Command::new("setpriv").args(["--pdeathsig", "INT", "true"]));
    let account = if root { ACCOUNTS.iter().find_map(|name| account(name)) } else { None };
    if root && account.is_none() {
        return Ok(Found::Nothing(format!(
            "PostgreSQL does not run as root, and there is no account {}",
            ACCOUNTS.join(" or ")
        )));
    }
    let programs =
        Programs { initdb: folder.join("initdb"), postgres: folder.join("postgres"), account, setpriv };
    if !answers(programs.command(Path::new("true"), "INT").current_dir("/")) {
        return Ok(Found::Nothing(
            "PostgreSQL does not run as root, and neither setpriv nor runuser can change the account"
                .to_owned(),
        ));
    }
    Ok(Found::Programs(programs))
}

impl Programs {
    /// A command under the right account.
    ///
    /// It gets `signal` when this program ends, where that can be arranged.
    pub fn command(&self, program: &Path, signal: &str) -> Command {
        let mut command = match (self.setpriv, &self.account) {
            (true, account) => {
                let mut command = Command::new("setpriv");
                if let Some(Account { user, group, .. }) = account {
                    let numbers = [format!("--reuid={user}"), format!("--regid={group}")];
                    command.args(numbers).arg("--clear-groups");
                }
                command.args(["--pdeathsig", signal]);
                command
            }
            (false, Some(account)) => {
                let mut command = Command::new("runuser");
                command.args(["-u", &account.name]);
                command
            }
            (false, None) => return Command::new(program),
        };
        command.arg("--").arg(program);
        command
    }
}

fn account(name: &str) -> Option<Account> {
    Some(Account { name: name.to_owned(), user: number(&["-u", name])?, group: number(&["-g", name])? })
}

/// What `id` prints.
fn number(args: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(args).output().ok()?;
    if output.status.success() { String::from_utf8_lossy(&output.stdout).trim().parse().ok() } else { None }
}

/// Folders that may hold the programs: those of the path, and where Debian keeps one per version.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path).chain(versions.map(|entry| entry.path().join("bin"))).collect()
}

/// The folder with the newest version that is new enough.
fn newest(folders: Vec<PathBuf>) -> Option<PathBuf> {
    let complete = folders.into_iter().filter(|folder| folder.join("initdb").is_file());
    let versions = complete.filter_map(|folder| Some((version(&folder.join("postgres"))?, folder)));
    let supported = versions.filter(|(major, _)| *major >= MAJOR_MIN);
    supported.max_by_key(|(major, _)| *major).map(|(_, folder)| folder)
}

fn version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in `postgres (PostgreSQL) 15.18 (…)`; also of a beta.
fn major(text: &str) -> Option<u32> {
    let number = text.split(' ').nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Installs the machine's own package. Where that fails, the caller finds that nothing is there.
fn install(workspace: &Workspace) -> Result {
    println!("installing PostgreSQL …");
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "--no-install-recommends", "postgresql"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let log = workspace.root.join("out/check/postgres-install.log");
    let mut apt = Running::start("apt-get", &mut command, &log)?;
    match apt.finish(INSTALL) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            println!("apt-get failed ({status}):\n{}", tail(&apt.whole_output()?, 5));
            Ok(())
        }
        Err(message) => {
            println!("{message}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_server_prints() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major("postgres: not found"), None);
    }

    #[test]
    fn a_folder_without_the_programs_is_no_choice() {
        assert_eq!(newest(vec![PathBuf::from("/nowhere"), std::env::temp_dir()]), None);
    }
}
