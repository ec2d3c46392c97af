//! Composition: listeners, the way of a call, well-known documents, overload, drain.
