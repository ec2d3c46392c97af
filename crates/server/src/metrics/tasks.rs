//! What the worker on tasks counts.

use std::fmt::Write as _;

use tasks::Figures;

/// What the worker on tasks counts.
pub(super) fn render(out: &mut String, figures: &Figures) {
    let counters = [
        ("created", "Tasks made here", figures.created),
        ("repeated", "Creations of a task that was there, by its key", figures.repeated),
        ("refused", "Tasks that were not made", figures.refused),
        ("attempts", "Attempts begun here", figures.attempts),
        ("retries", "Attempts that failed and are made again", figures.retries),
        ("completed", "Tasks that ended here with a result", figures.completed),
        ("failed", "Tasks that ended here with an error", figures.failed),
        ("cancelled", "Tasks that were cancelled here", figures.cancelled),
        ("expired", "Tasks whose time was over before they ended", figures.expired),
        ("taken_over", "Tasks taken over from workers that were lost", figures.taken_over),
        ("leases_lost", "Leases that this worker lost", figures.leases_lost),
        ("fenced", "Writes that came too late", figures.fenced),
    ];
    // Writing to a String cannot fail.
    for (name, help, count) in counters {
        let _ = writeln!(out, "# HELP tidegate_tasks_{name} {help}.\n# TYPE tidegate_tasks_{name} counter");
        let _ = writeln!(out, "tidegate_tasks_{name}_total {count}");
    }
    let gauges = [
        ("running", "Attempts under way here", figures.running as f64),
        (
            "behind_seconds",
            "How long the task waits that has been due the longest",
            figures.behind.as_secs_f64(),
        ),
    ];
    for (name, help, value) in gauges {
        let _ = writeln!(out, "# HELP tidegate_tasks_{name} {help}.\n# TYPE tidegate_tasks_{name} gauge");
        let _ = writeln!(out, "tidegate_tasks_{name} {value}");
    }
    let (name, Figures { ages_ms, .. }) = ("tidegate_tasks_age_seconds", figures);
    let _ = writeln!(out, "# HELP {name} Age of tasks at their end.\n# TYPE {name} summary");
    let _ = writeln!(out, "{name}_count {}", figures.completed + figures.failed);
    let _ = writeln!(out, "{name}_sum {}", *ages_ms as f64 / 1_000.0);
}
