//! What is fetched, from servers that are good, bad and slow.

mod crawls;
mod place;
