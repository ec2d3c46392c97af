//! Rules, as those who write them and those who live under them see them.

mod presets;
