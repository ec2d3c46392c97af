//! Logs, to stderr: people read text, programs read JSON.

use std::io::IsTerminal as _;

use config::{LogFormat, Telemetry};
use tracing_subscriber::EnvFilter;

/// Starts logging. `TIDEGATE_LOG` overrides the level with a filter such as `info,tidegate_upstream=debug`.
pub fn start(telemetry: &Telemetry) {
    let level = telemetry.log_level.as_str();
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    // What an event says stands beside when and where it was said: most readers of logs want one level.
    // A second start, as in tests, keeps the first.
    let _ = match telemetry.log_format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(terminal).try_init(),
        LogFormat::Auto if terminal => builder.compact().try_init(),
        LogFormat::Auto => builder.json().flatten_event(true).try_init(),
    };
}
