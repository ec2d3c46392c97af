//! What upstreams offer: named, merged, cached, paged; and which upstream a name or URI belongs to.

mod endpoint;
mod filter;
mod groups;
mod handles;
mod life;
mod links;
mod listing;
mod merge;
mod names;
mod offered;
mod part;
mod pins;
mod reads;
mod route;
mod source;
mod uris;

pub use endpoint::{Allows, Endpoint, EndpointOptions, MISSING, Sieve, served};
pub use filter::Filter;
pub use groups::{GROUPING, GROUPS_LIST, Group};
pub use handles::{ARGUMENTS, SessionUse};
pub use life::{LIFECYCLE, Life, Turns, told as life_told};
pub use listing::{Item, Kind, Listing};
pub use names::{NAME_CHARS_MAX, Naming};
pub use offered::{MadeOf, Offered, OfferedEntry};
pub use part::Part;
pub use pins::{Compared, Drift, PinRule, Pinned, Pins, Standing};
pub use reads::ReadOptions;
pub use route::{Routed, unknown, unknown_resource};
pub use source::{Caller, ListError, ListStats, OnBehalf, SIGN_IN, Source, SourceOptions};
