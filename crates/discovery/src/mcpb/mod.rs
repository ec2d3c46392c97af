//! Bundles (`.mcpb`): archives with a `manifest.json`. What may be unpacked, and what would then be started.

mod archive;
mod manifest;
mod plan;

pub use archive::{Bounds, Head, HeadKind, Unpack, unpack};
pub use manifest::{MANIFEST_BYTES_MAX, Manifest, Override, ServerKind, Setting, SettingKind, read};
pub use plan::{Folders, plan};
