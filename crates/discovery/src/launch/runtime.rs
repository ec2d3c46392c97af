//! What a publisher may ask of the program that runs his package.
//!
//! Runtimes can run a shell, other packages, or with the whole machine in view, when they are told so by an
//! option. So each has a list of options that are harmless and of some that a person is told of; no other
//! passes.

use std::collections::BTreeMap;

use super::asker::Asker;
use super::command::environment_fault;
use crate::fault::{By, shown};
use crate::template::{Part, Value};

/// What becomes of an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It passes.
    Fine,
    /// It passes, and a person is told why he may not want it.
    Risky(&'static str),
    /// It names the package once more, and is left out.
    Same,
    /// It is left out, since it is said anyway.
    Drop,
    /// It sets a variable of the container.
    Variable,
    /// It shows the container a folder of this machine.
    Mount,
    /// It names a version of the language, which could as well be a program.
    Version,
}

/// One option of a runtime.
struct Known {
    names: &'static [&'static str],
    takes_value: bool,
    verdict: Verdict,
}

const fn flag(names: &'static [&'static str], verdict: Verdict) -> Known {
    Known { names, takes_value: false, verdict }
}

const fn option(names: &'static [&'static str], verdict: Verdict) -> Known {
    Known { names, takes_value: true, verdict }
}

const NPX: [Known; 4] = [
    flag(&["-y", "--yes"], Verdict::Drop),
    flag(&["-q", "--quiet", "--silent"], Verdict::Fine),
    flag(&["--prefer-offline", "--offline"], Verdict::Fine),
    option(&["-p", "--package"], Verdict::Same),
];

const UVX: [Known; 4] = [
    flag(&["-q", "--quiet", "--isolated", "--offline", "-n", "--no-cache"], Verdict::Fine),
    flag(&["--native-tls", "--no-progress", "--no-config"], Verdict::Fine),
    option(&["-p", "--python"], Verdict::Version),
    option(&["--from"], Verdict::Same),
];

const DNX: [Known; 2] =
    [flag(&["-y", "--yes"], Verdict::Drop), option(&["-v", "--verbosity"], Verdict::Fine)];

const DOCKER: [Known; 10] = [
    flag(&["-i", "--interactive", "--rm"], Verdict::Drop),
    flag(&["--init", "--read-only", "-q", "--quiet"], Verdict::Fine),
    option(&["-e", "--env"], Verdict::Variable),
    option(&["-v", "--volume", "--mount"], Verdict::Mount),
    option(&["-p", "--publish"], Verdict::Risky("the container opens a port of this machine")),
    option(&["--network", "--net"], Verdict::Risky("the container chooses the network it is in")),
    option(&["--add-host"], Verdict::Risky("the container is told where a host is")),
    option(&["-u", "--user", "-w", "--workdir", "--name", "--platform", "--pull"], Verdict::Fine),
    option(&["-m", "--memory", "--cpus", "--pids-limit", "--shm-size", "--tmpfs"], Verdict::Fine),
    option(&["--cap-drop"], Verdict::Fine),
];

/// What runs a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runtime {
    Npx,
    Uvx,
    Dnx,
    Docker,
}

impl Runtime {
    /// What runs packages of a registry.
    pub fn of(registry_type: &str) -> Option<Self> {
        match registry_type {
            "npm" => Some(Self::Npx),
            "pypi" => Some(Self::Uvx),
            "nuget" => Some(Self::Dnx),
            "oci" => Some(Self::Docker),
            _ => None,
        }
    }

    /// Its name.
    pub fn program(self) -> &'static str {
        match self {
            Self::Npx => "npx",
            Self::Uvx => "uvx",
            Self::Dnx => "dnx",
            Self::Docker => "docker",
        }
    }

    fn known(self) -> &'static [Known] {
        match self {
            Self::Npx => &NPX,
            Self::Uvx => &UVX,
            Self::Dnx => &DNX,
            Self::Docker => &DOCKER,
        }
    }
}

/// What is left of a publisher's arguments for a runtime.
#[derive(Default)]
pub(super) struct Judged {
    pub arguments: Vec<Value>,
    /// Variables of the container.
    pub environment: BTreeMap<String, Value>,
}

/// Judges arguments for a runtime. `names` are the ways to spell the package itself.
pub(super) fn judge(
    asker: &mut Asker<'_>,
    at: &str,
    runtime: Runtime,
    given: Vec<Value>,
    names: &[String],
) -> Judged {
    let mut judged = Judged::default();
    let mut given = given.into_iter();
    while let Some(argument) = given.next() {
        // With a secret in it, only the value of a variable passes: its option stands before it.
        let text = first_text(&argument);
        if !text.starts_with('-') {
            let same = argument.as_text().is_some_and(|text| names.iter().any(|name| name == text));
            let run = runtime == Runtime::Docker && text == "run";
            if !same && !run {
                refuse(asker, at, runtime, &text);
            }
            continue;
        }
        let (name, inline) = match text.split_once('=') {
            Some((name, _)) => (name.to_owned(), true),
            None => (text.clone(), false),
        };
        let Some(known) = runtime.known().iter().find(|known| known.names.contains(&name.as_str())) else {
            refuse(asker, at, runtime, &text);
            continue;
        };
        let value = match (known.takes_value, inline) {
            (true, true) => Some(without(&argument, name.len() + 1)),
            (true, false) => given.next(),
            (false, false) => None,
            (false, true) => {
                refuse(asker, at, runtime, &text);
                continue;
            }
        };
        if known.takes_value && value.as_ref().is_none_or(|value| first_text(value).starts_with('-')) {
            asker.refuse(By::Publisher, at, format!("{} without its value", shown(&name)));
            continue;
        }
        apply(asker, at, known.verdict, &name, value, names, &mut judged);
    }
    judged
}

fn apply(
    asker: &mut Asker<'_>,
    at: &str,
    verdict: Verdict,
    name: &str,
    value: Option<Value>,
    names: &[String],
    judged: &mut Judged,
) {
    match verdict {
        Verdict::Drop => return,
        Verdict::Same => {
            let text = value.as_ref().and_then(Value::as_text).unwrap_or_default();
            if !names.iter().any(|name| name == text) {
                asker.refuse(By::Publisher, at, format!("{name} names other code: {}", shown(text)));
            }
            return;
        }
        Verdict::Variable => return variable(asker, at, value.unwrap_or_default(), judged),
        Verdict::Mount => {
            let text = value.as_ref().and_then(Value::as_text).unwrap_or_default();
            match mount_fault(text) {
                Some(what) => asker.refuse(By::Publisher, at, format!("{what}: {}", shown(text))),
                None => asker.risk(format!("the container sees what is mounted: {}", shown(text))),
            }
        }
        Verdict::Version => {
            let text = value.as_ref().and_then(Value::as_text).unwrap_or_default();
            let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".@+-".contains(&byte));
            if !plain || text.is_empty() {
                asker.refuse(By::Publisher, at, format!("{} is no version", shown(text)));
            }
        }
        Verdict::Risky(why) => {
            asker.risk(format!("{why}: {name} {}", shown(&value.clone().unwrap_or_default().to_string())));
        }
        Verdict::Fine => {}
    }
    judged.arguments.push(Value::text(name));
    judged.arguments.extend(value);
}

/// A variable of a container is passed on by its name, so that its value stands on no command line.
fn variable(asker: &mut Asker<'_>, at: &str, value: Value, judged: &mut Judged) {
    let text = first_text(&value);
    let Some((name, _)) = text.split_once('=') else {
        asker.refuse(By::Publisher, at, format!("{} would be taken from our environment", shown(&text)));
        return;
    };
    if let Some(what) = environment_fault(name) {
        asker.refuse(By::Publisher, at, format!("{}: {what}", shown(name)));
        return;
    }
    judged.environment.insert(name.to_owned(), without(&value, name.len() + 1));
}

/// What of this machine no container gets to see.
fn mount_fault(text: &str) -> Option<&'static str> {
    let Some(source) = mount_source(text) else { return Some("no mount that can be read") };
    if source.split('/').any(|part| part == ".." || part == ".") {
        return Some("a mount with a way back");
    }
    let tidy: Vec<&str> = source.split('/').filter(|part| !part.is_empty()).collect();
    let own = ["etc", "proc", "sys", "dev", "boot", "run", "root", "var", "lib", "usr", "bin", "sbin"];
    match tidy.as_slice() {
        [] if source.starts_with('/') || source.is_empty() => Some("a mount of the whole machine"),
        [first, ..] if source.starts_with('/') && own.contains(first) => {
            Some("a mount of what is the machine's own")
        }
        _ if source.contains(['~', '$']) => Some("a mount of a folder that a shell would have to find"),
        _ => None,
    }
}

/// What is mounted, in both spellings: `/a:/b:ro` and `type=bind,src=/a,dst=/b`. Only plain members
/// pass, each once: others choose drivers and devices, and a value could bring them along.
fn mount_source(text: &str) -> Option<&str> {
    if !text.contains('=') {
        let parts: Vec<&str> = text.split(':').collect();
        return match parts.as_slice() {
            [source, target] | [source, target, "ro" | "rw" | "z" | "Z"] if target.starts_with('/') => {
                Some(source)
            }
            _ => None,
        };
    }
    let (mut kind, mut source, mut target, mut mode) = (None, None, None, None);
    for field in text.split(',') {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let place = match name {
            "type" => &mut kind,
            "src" | "source" => &mut source,
            "dst" | "destination" | "target" => &mut target,
            "ro" | "readonly" => &mut mode,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    let fits =
        matches!(kind, Some("bind" | "volume")) && target.is_some_and(|target| target.starts_with('/'));
    source.filter(|_| fits)
}

fn refuse(asker: &mut Asker<'_>, at: &str, runtime: Runtime, text: &str) {
    let program = runtime.program();
    asker.refuse(By::Publisher, at, format!("{} is not passed on to {program}", shown(text)));
}

/// The plain text at the beginning of a value.
fn first_text(value: &Value) -> String {
    match value.parts().first() {
        Some(Part::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

/// The value without its first bytes, which are plain text.
fn without(value: &Value, bytes: usize) -> Value {
    let mut parts = value.parts().to_vec();
    if let Some(Part::Text(first)) = parts.first_mut() {
        *first = first.split_off(bytes.min(first.len()));
        if first.is_empty() && parts.len() > 1 {
            parts.remove(0);
        }
    }
    Value::of(parts)
}
