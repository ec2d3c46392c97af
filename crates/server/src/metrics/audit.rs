//! What the writer of the audit log counts.

use std::fmt::Write as _;

use audit::{ExportFigures, Figures};

/// One of the counts of an export.
type Count = fn(&ExportFigures) -> u64;

/// What the writer of the audit log counts.
pub(super) fn render(out: &mut String, figures: &Figures) {
    let Figures { written, lost, waiting, commits, failed, signed, exports } = figures;
    let counters = [
        ("records", "Audit records that are durable", *written),
        ("lost", "Events that there was no room for", *lost),
        ("commits", "Commits that records were written with", *commits),
        ("failed", "Tries to write or to sign that failed", *failed),
        ("checkpoints", "Checkpoints that were signed", *signed),
    ];
    // Writing to a String cannot fail.
    for (name, help, count) in counters {
        let _ = writeln!(out, "# HELP tidegate_audit_{name} {help}.\n# TYPE tidegate_audit_{name} counter");
        let _ = writeln!(out, "tidegate_audit_{name}_total {count}");
    }
    let _ = writeln!(out, "# HELP tidegate_audit_waiting Events that wait to be written.");
    let _ = writeln!(out, "# TYPE tidegate_audit_waiting gauge\ntidegate_audit_waiting {waiting}");
    if exports.is_empty() {
        return;
    }
    let counters: [(&str, &str, Count); 3] = [
        ("exported", "Entries that an export delivered", |export| export.delivered),
        ("export_failed", "Deliveries that failed", |export| export.failed),
        ("export_missed", "Entries that were pruned before they were delivered", |export| export.missed),
    ];
    for (name, help, count) in counters {
        let _ = writeln!(out, "# HELP tidegate_audit_{name} {help}.\n# TYPE tidegate_audit_{name} counter");
        for export in exports {
            let label = label(&export.name);
            let _ = writeln!(out, "tidegate_audit_{name}_total{{export={label}}} {}", count(export));
        }
    }
    let name = "tidegate_audit_export_behind";
    let _ = writeln!(out, "# HELP {name} Entries that are not delivered yet.\n# TYPE {name} gauge");
    for (export, behind) in exports.iter().filter_map(|export| Some((export, export.behind?))) {
        let _ = writeln!(out, "{name}{{export={}}} {behind}", label(&export.name));
    }
}

/// A value of a label, in quotes.
fn label(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_sample() {
        let export = |name: &str, behind| ExportFigures {
            name: name.into(),
            delivered: 7,
            failed: 8,
            missed: 9,
            behind,
        };
        let exports = vec![export("a\"b", Some(10)), export("c", None)];
        let figures = Figures { written: 1, lost: 2, waiting: 3, commits: 4, failed: 5, signed: 6, exports };
        let mut out = String::new();
        render(&mut out, &figures);
        for sample in [
            "tidegate_audit_records_total 1",
            "tidegate_audit_lost_total 2",
            "tidegate_audit_waiting 3",
            "tidegate_audit_commits_total 4",
            "tidegate_audit_failed_total 5",
            "tidegate_audit_checkpoints_total 6",
            r#"tidegate_audit_exported_total{export="a\"b"} 7"#,
            r#"tidegate_audit_export_failed_total{export="c"} 8"#,
            r#"tidegate_audit_export_missed_total{export="c"} 9"#,
            r#"tidegate_audit_export_behind{export="a\"b"} 10"#,
        ] {
            assert!(out.lines().any(|line| line == sample), "{sample} in {out}");
        }
        assert!(!out.contains(r#"behind{export="c"}"#), "another process knows");
    }
}
