//! What the crate promises, from outside.

mod corpus;
mod lenient;
mod matrix;
mod merges;
mod models;
mod round_trips;
mod widens;
