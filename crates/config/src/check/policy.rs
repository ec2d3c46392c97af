//! Policies: some, each once, and arguments that can be told apart.

use super::Report;
use crate::section::{Policy, Upstream};
use crate::source::Path;

/// How many files there may be.
const FILES_MAX: usize = 100;

/// How many arguments may be declared. Each call's are looked for.
const ARGUMENTS_MAX: usize = 200;

/// How deep a declared argument may lie.
const DEPTH_MAX: usize = 8;

/// How many labels an upstream's tools may have.
const LABELS_MAX: usize = 100;

pub(super) fn check(policy: Option<&Policy>, report: &mut Report<'_>) {
    let path = Path::keys(["policy"]);
    let Some(Policy { presets, files, arguments }) = policy else { return };
    if presets.is_empty() && files.is_empty() {
        let hint = "name a preset or a file; without the whole section everything is allowed";
        report.absent(&path, "there is no policy, so that nothing would be allowed", Some(hint.to_owned()));
    }
    for (at, preset) in presets.iter().enumerate() {
        if presets[..at].contains(preset) {
            let message = format!("{} is in the list already", preset.as_str());
            report.value(&path.key("presets").index(at), message, None);
        }
    }
    if files.len() > FILES_MAX {
        let message = format!("there are {} of them, and there may be {FILES_MAX}", files.len());
        report.key(&path.key("files"), message, None);
    }
    for (at, file) in files.iter().enumerate() {
        if file.as_os_str().is_empty() {
            report.value(&path.key("files").index(at), "the path is empty", None);
        } else if files[..at].contains(file) {
            report.value(&path.key("files").index(at), "the file is in the list already", None);
        }
    }
    let path = path.key("arguments");
    if arguments.len() > ARGUMENTS_MAX {
        let message = format!("there are {} of them, and there may be {ARGUMENTS_MAX}", arguments.len());
        return report.key(&path, message, None);
    }
    for name in arguments.keys() {
        let members: Vec<&str> = name.split('.').collect();
        if members.iter().any(|member| member.is_empty()) || members.len() > DEPTH_MAX {
            let message = format!("an argument is 1 to {DEPTH_MAX} names with dots between them");
            report.key(&path.key(name), message, None);
            continue;
        }
        for end in 1..members.len() {
            let outer = members[..end].join(".");
            if arguments.contains_key(&outer) {
                let message = format!("{outer:?} is declared with a type of its own, and has no members");
                report.key(&path.key(name), message, None);
            }
        }
    }
}

/// Labels of an upstream's tools.
pub(super) fn check_labels(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let path = path.key("labels");
    if upstream.labels.len() > LABELS_MAX {
        let message = format!("there are {} of them, and there may be {LABELS_MAX}", upstream.labels.len());
        return report.key(&path, message, None);
    }
    for (label, globs) in &upstream.labels {
        if label.trim().is_empty() {
            report.key(&path.key(label), "a label is a word", None);
        }
        if label.starts_with("lifecycle:") {
            let hint = "write \"lifecycle\" or \"lifecycles\"".to_owned();
            report.key(&path.key(label), "the gateway itself puts such labels on", Some(hint));
        }
        if globs.is_empty() {
            let hint = "write [\"*\"] for all, or leave the label out";
            report.value(&path.key(label), "the label is on nothing", Some(hint.to_owned()));
        }
    }
}
