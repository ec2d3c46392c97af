//! Nothing secret in the logs of the gateways that the other steps have run.
//!
//! They log everything (`telemetry.log_level: debug`), and the secrets of their peers are known: those that
//! are made for tests begin with [`SEED`], and what the suite gives to a gateway is in a file beside its log.

use crate::Result;
use crate::run::{Counts, Outcome};
use crate::workspace::Workspace;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// What every secret that is made for tests begins with.
const SEED: &str = "s3cr3t-seed-";

/// Fewer lines are no proof of anything.
const LINES_MIN: usize = 10_000;

/// Where gateways run.
const FOLDERS: [&str; 2] = ["out/conformance", "out/interop"];

/// Files beside a log whose content is secret.
const SECRETS: [&str; 3] = ["secret", "id-token", "key.pem"];

/// What stands before a secret in a form or a header.
const BEFORE: [&str; 7] =
    ["Bearer ", "DPoP ", "Basic ", "refresh_token=", "client_secret=", "code_verifier=", "client_assertion="];

/// So many characters after one of these are a secret, fewer are words about one.
const SECRET_LEN_MIN: usize = 16;

/// What was looked at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Looked {
    logs: usize,
    lines: usize,
    /// Where something is, and what.
    found: Vec<String>,
}

/// Looks at all logs.
pub fn check(workspace: &Workspace) -> Result<Outcome> {
    let mut looked = Looked::default();
    for folder in FOLDERS {
        for log in logs(&workspace.root.join(folder))? {
            look(&log, &mut looked)?;
        }
    }
    for fault in looked.found.iter().take(20) {
        println!("FAILED {fault}");
    }
    if looked.lines < LINES_MIN {
        println!("FAILED {} lines of {} logs are too few to say", looked.lines, looked.logs);
        return Ok(Outcome::Ran(Counts { failed: 1, ..Counts::default() }));
    }
    if looked.found.is_empty() {
        println!("{} lines of {} logs, nothing secret", looked.lines, looked.logs);
        return Ok(Outcome::Ran(Counts::ONE));
    }
    Ok(Outcome::Ran(Counts { failed: looked.found.len(), ..Counts::default() }))
}

/// The logs of gateways below a folder.
fn logs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(all) };
    for entry in entries {
        let entry = entry.map_err(|e| format!("{}: {e}", folder.display()))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // Links lead to what was looked at, or out of here.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(logs(&path)?);
        } else if name.starts_with("tidegate") && path.extension().is_some_and(|end| end == "log") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn look(log: &Path, looked: &mut Looked) -> Result {
    let fail = |e: std::io::Error| format!("{}: {e}", log.display());
    let known = beside(log);
    looked.logs += 1;
    for (number, line) in BufReader::new(File::open(log).map_err(fail)?).split(b'\n').enumerate() {
        let line = line.map_err(fail)?;
        let text = String::from_utf8_lossy(&line);
        looked.lines += 1;
        if let Some(what) = secret_in(&text, &known) {
            looked.found.push(format!("{}:{}: {what}", log.display(), number + 1));
        }
    }
    Ok(())
}

/// The secrets that lie beside a log. Those of several lines are known by each of them.
fn beside(log: &Path) -> Vec<String> {
    let files = SECRETS.iter().filter_map(|name| std::fs::read_to_string(log.with_file_name(name)).ok());
    let lines = files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.len() >= 8 && !line.starts_with("-----")).collect()
}

/// What kind of secret a line has. The secret itself is not told, as this is printed.
fn secret_in(line: &str, known: &[String]) -> Option<&'static str> {
    if line.contains(SEED) {
        return Some("a seeded secret");
    }
    if known.iter().any(|secret| line.contains(secret.as_str())) {
        return Some("a secret of the suite");
    }
    if has_jwt(line) {
        return Some("a JWT");
    }
    let stands = |before: &&str| line.split(*before).skip(1).any(|after| run(after) >= SECRET_LEN_MIN);
    BEFORE.iter().any(stands).then_some("what stands where a secret does")
}

/// How many characters of a token a text begins with.
fn run(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=%".contains(byte)).count()
}

/// Whether two parts of a JWT stand in a line, one after the other.
fn has_jwt(line: &str) -> bool {
    line.match_indices("eyJ").any(|(at, _)| {
        let token = &line[at..at + run(&line[at..])];
        token.split_once('.').is_some_and(|(header, rest)| header.len() >= 10 && rest.starts_with("eyJ"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_each_kind_are_found_and_words_about_them_are_not() {
        let known = vec!["hunter2hunter2".to_owned()];
        for bad in [
            "token=s3cr3t-seed-for a test: alone",
            "x hunter2hunter2 y",
            "authorization: Bearer abcdefghijklmnopqrstuvwxyz",
            "Basic Z2F0ZXdheTpzZWNyZXQ6MTIz",
            "grant_type=refresh_token&refresh_token=abcdefghijklmnop",
            "{\"t\":\"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.x\"}",
            "code_verifier=AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(secret_in(bad, &known).is_some(), "{bad}");
        }
        for good in [
            "",
            "Bearer error=\"invalid_token\"",
            "the scheme is Bearer or DPoP",
            "grant_type=refresh_token",
            "refresh_token=[secret]",
            "eyJ and eyJ",
            "a word that has eyJhbGciOiJFUzI1NiJ9 in it",
        ] {
            assert_eq!(secret_in(good, &known), None, "{good}");
        }
    }

    #[test]
    fn a_log_is_found_in_any_depth_and_read_with_what_lies_beside_it() {
        let root = std::env::temp_dir().join(format!("tidegate-secrets-{}", std::process::id()));
        let deep = root.join("cell/driver/auth/x");
        std::fs::create_dir_all(&deep).expect("a folder");
        std::fs::write(deep.join("secret"), "of-the-suite\n").expect("a file");
        std::fs::write(deep.join("tidegate.log"), "one\nsays of-the-suite\nthree\n").expect("a file");
        std::fs::write(deep.join("fixture.log"), "of-the-suite").expect("a file");
        let found = logs(&root).expect("a list");
        let mut looked = Looked::default();
        found.iter().for_each(|log| look(log, &mut looked).expect("it is read"));
        std::fs::remove_dir_all(&root).expect("it goes");
        assert_eq!((looked.logs, looked.lines), (1, 3));
        assert!(matches!(&*looked.found, [one] if one.ends_with("tidegate.log:2: a secret of the suite")));
    }
}
