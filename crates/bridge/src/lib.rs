//! The two adapters between eras, as machines without I/O.
