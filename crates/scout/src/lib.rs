//! What `discovery` plans, carried out: documents are fetched politely, registries mirrored, bundles
//! unpacked.
//!
//! Everything goes out by `egress`, under its guard: what was published by others leads to hosts of the
//! internet alone, unless the operator says otherwise. Each document has a bound in bytes and in time, and
//! nothing that one host does stops the others.

mod bundle;
mod crawl;
mod fetch;
mod files;
mod gist;
mod keep;
mod live;
mod registry;
mod report;
mod seed;

pub use bundle::{BUNDLE_BYTES_MAX, Bundle, BundleError};
pub use crawl::{Crawler, Options, Progress};
pub use fetch::{Document, FetchError, Fetcher, Got, Reaching, Wanted};
pub use files::{lock, replace};
pub use gist::Told;
pub use keep::{Keep, KeepError};
pub use live::{Answered, Standing, ask};
pub use registry::{Copy, Registry, RegistryError, Synced, base_of};
pub use report::{CardReport, CatalogReport, RemoteReport, Report, SeedReport, State, Summary};
pub use seed::{Seed, SeedError, seeds};
