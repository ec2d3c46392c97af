//! A room of its own for a program.

use std::path::{Component, Path as FilePath};

use super::Report;
use crate::section::{Sandbox, Upstream};
use crate::source::Path;

/// What the sandbox itself puts there.
const OWN: [&str; 2] = ["/proc", "/dev"];

pub(super) fn check(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let Some(Sandbox { read, write, home, network: _ }) = &upstream.sandbox else { return };
    let at = path.key("sandbox");
    for (key, list) in [("read", read), ("write", write)] {
        for (index, one) in list.iter().enumerate() {
            if report.is_full() {
                return;
            }
            check_path(one, &at.key(key).index(index), report);
        }
    }
    if let Some(home) = home {
        check_path(home, &at.key("home"), report);
    }
}

fn check_path(path: &FilePath, at: &Path, report: &mut Report<'_>) {
    if path.as_os_str().is_empty() || path.as_os_str().as_encoded_bytes().contains(&0) {
        report.value(at, "this is no path", None);
    } else if path.starts_with("~") {
        report.value(at, "no shell reads \"~\" here", Some("write the whole path".to_owned()));
    } else if path.components().any(|part| part == Component::ParentDir) {
        report.value(at, "the path leads back (\"..\")", Some("write the whole path".to_owned()));
    } else if path.has_root() && path.components().count() == 1 {
        let hint = Some("name what it needs, or take \"sandbox\" out".to_owned());
        report.value(at, "that is everything, which is no sandbox", hint);
    } else if let Some(own) = OWN.iter().find(|own| path.starts_with(own)) {
        let message = format!("a sandbox has a {own:?} of its own");
        report.value(at, message, Some("put it elsewhere".to_owned()));
    }
}
