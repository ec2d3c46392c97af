//! Ids, principals, clocks, randomness, limits: the words every other crate uses, without I/O.
