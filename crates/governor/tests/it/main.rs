//! Proposals, votes and files, over a store in memory.

mod desk;
mod log;
mod office;
