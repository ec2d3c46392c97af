//! Policies, as those who write them and those who ask see them.

mod ask;
mod effects;
