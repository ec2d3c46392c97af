//! The machines between the eras, and the words of each revision.

mod down;
mod up;
mod words;

use std::borrow::Cow;

use protocol::{Call, Method, Raw, Revision};

use crate::json::raw;

/// Events of both sides, one on a line, after a line that says which machine gets them.
///
/// `up REVISION METHOD PARAMS` begins a modern client's call on a legacy server, `down REVISION METHOD
/// PARAMS` a legacy client's call as a modern one; anything else is `words REVISION METHOD`. What the lines
/// after that mean stands at each: see [`up::run`], [`down::run`] and [`words::run`].
///
/// # Panics
/// Where a property of one of the three does not hold.
pub fn bridge(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let lines: Vec<&str> = rest.split('\n').take(LINES_MAX).collect();
    let start = Start::read(first);
    match &*start.machine {
        "up" => up::run(&start, &lines),
        "down" => down::run(&start, &lines),
        _ => words::run(&start, &lines),
    }
}

/// Lines after these are not read: more of them find nothing new.
const LINES_MAX: usize = 200;

/// What the first line says. What is left out or wrong has a default.
struct Start<'a> {
    machine: Cow<'a, str>,
    revision: Revision,
    method: Method,
    params: Raw,
}

impl<'a> Start<'a> {
    fn read(line: &'a str) -> Self {
        let mut words = line.splitn(4, ' ');
        let machine = Cow::Borrowed(words.next().unwrap_or_default());
        let revision = words.next().and_then(Revision::parse).unwrap_or(Revision::NEWEST_LEGACY);
        let method = words.next().map_or(Method::ToolsCall, Method::parse);
        let params = words.next().and_then(raw).filter(|params| matches!(params.object(), Ok(Some(_))));
        Self { machine, revision, method, params: params.unwrap_or_else(|| Raw::literal("{}")) }
    }

    /// The modern call that these parameters are, where they are some.
    fn call(&self) -> Option<Call> {
        Call::read(self.method.clone(), Some(&self.params)).ok()
    }
}
