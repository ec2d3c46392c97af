//! Whole files: what is read, what is said about those that cannot be used, what is imported.

mod accepted;
mod documents;
mod history;
mod imported;
mod layers;
mod refused;
mod refused_values;
mod robust;
mod table;
