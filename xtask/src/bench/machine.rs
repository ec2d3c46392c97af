//! What the figures were measured on and with: enough to compare runs, nothing that names the machine.

use super::{instructions, nginx};
use crate::Result;
use crate::run::cargo;
use crate::workspace::Workspace;
use serde_json::{Value, json};

pub fn facts(workspace: &Workspace) -> Result<Value> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_err(|e| format!("processors: {e}"))?;
    let rust = cargo(workspace).arg("--version").output().map_err(|e| format!("cargo: {e}"))?;
    let rust = String::from_utf8_lossy(&rust.stdout).split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(json!({
        "cores": cores.get(),
        "memory_mib": field(&read("/proc/meminfo"), "MemTotal").and_then(kib).map(|kib| kib / 1024),
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average_before": load_average(),
        "nginx": nginx::version(),
        "valgrind": instructions::version(),
        "rust": rust,
        "commit": workspace.git(&["rev-parse", "--short", "HEAD"])?.trim(),
    }))
}

/// How busy the machine has been over the last minute.
pub fn load_average() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!(text.split_whitespace().next().and_then(|first| first.parse::<f64>().ok()))
}

fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn kib(text: String) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_by_name() {
        let text = "MemTotal:       2048 kB\nmodel name\t: A Processor\n";
        assert_eq!(field(text, "MemTotal").and_then(kib), Some(2048));
        assert_eq!(field(text, "model name").as_deref(), Some("A Processor"));
        assert_eq!(field(text, "other"), None);
    }
}
