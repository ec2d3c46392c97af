//! Rules, as those who write them and those who live under them see them.

mod alone;
mod calendar;
mod enterprise;
mod ladder;
mod mcp;
mod presets;
mod properties;
mod refused;
mod simulate;
mod votes;
mod world;
