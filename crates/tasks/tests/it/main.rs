//! Durable tasks, with a runner that follows a script and a time that passes as it is needed.

mod chance;
mod driving;
mod ending;
mod fencing;
mod ledger;
mod network;
mod simulation;
mod world;
