//! Typed configuration: loading, diagnostics, schema, import of client files.
