//! Which definitions are approved, in the store, for all replicas: each knows them all, and reads them anew
//! within seconds of a change.

mod board;
mod upstream;

pub(crate) use board::PinBoard;
pub(crate) use upstream::UpstreamPins;
