//! Policies, as those who write them and those who ask see them.

mod arguments;
mod ask;
mod documents;
mod effects;
mod explained;
mod hostile;
mod properties;
mod refused;
