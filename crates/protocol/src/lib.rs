//! The wire: lossless envelopes, revisions, mirrored headers, server-sent events, errors.
