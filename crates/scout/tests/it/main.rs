//! What is fetched, from servers that are good, bad and slow.

mod bundles;
mod crawls;
mod place;
mod registries;
