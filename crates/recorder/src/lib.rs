//! Writes the audit log: an extension behind `audit::Recorder`.
