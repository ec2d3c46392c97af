//! What upstreams offer: merged, named, cached, paged.
