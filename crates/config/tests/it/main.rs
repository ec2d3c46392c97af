//! Whole files: what is read, what is said about those that cannot be used, what is imported.

mod accepted;
mod documents;
mod imported;
mod refused;
mod refused_values;
mod robust;
mod table;
