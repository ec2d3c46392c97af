//! A process's standard streams.

use std::sync::Arc;

use egress::{Child, ChildOptions};

use super::{Pipe, Writer};
use crate::core::{Core, Stats};
use crate::options::Stdio;
use crate::{CallError, CallErrorKind};

/// Starts a process and reads what it says until it ends.
pub(super) fn start(core: &Arc<Core>, stdio: &Stdio) -> Result<(Arc<Pipe>, Arc<Child>), CallError> {
    Stats::add(&core.stats.starts);
    let name = core.options.name.clone();
    let options = ChildOptions {
        env: stdio.env.clone(),
        cwd: stdio.cwd.clone(),
        sandbox: stdio.sandbox.clone(),
        line_bytes_max: core.options.limits.message_bytes_max,
        stderr_lines_max: stdio.stderr_lines_max,
        on_stderr: Some(Arc::new(move |line: &str| {
            tracing::debug!(upstream = %name, line, "stderr");
        })),
        argv: stdio.argv.clone(),
        ..ChildOptions::default()
    };
    let mut child = Child::spawn(options)
        .map_err(|error| core.error(CallErrorKind::Unreachable).detail(crate::http::chain(&error)))?;
    let Some(mut lines) = child.take_lines() else {
        return Err(core.error(CallErrorKind::Unreachable).detail("the process has no output"));
    };
    let child = Arc::new(child);
    let pipe = Pipe::new(Arc::clone(core), Writer::Child(Arc::clone(&child)));
    let (reader, log_name) = (Arc::clone(&pipe), core.options.name.clone());
    tokio::spawn(async move {
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) => reader.on_message(line),
                Err(error) => {
                    tracing::warn!(upstream = %log_name, %error, "a line of the process was dropped")
                }
            }
        }
        reader.close();
    });
    Ok((pipe, child))
}
