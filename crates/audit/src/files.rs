//! A log as files: paths of tiles and bundles of entries (C2SP `tlog-tiles`).

use crate::tree::{TILE_WIDTH, TileId};

/// The path of a tile of so many hashes.
#[must_use]
pub fn tile_path(tile: TileId, width: u64) -> String {
    format!("tile/{}/{}", tile.level, place(tile.index, width))
}

/// The path of a bundle of so many entries.
#[must_use]
pub fn bundle_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", place(index, width))
}

fn place(index: u64, width: u64) -> String {
    let mut rest = index / 1000;
    let mut text = format!("{:03}", index % 1000);
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE_WIDTH { format!("{text}.p/{width}") } else { text }
}

/// Entries, each with its length before it.
///
/// # Errors
/// The place of one that is too long.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let length = u16::try_from(entry.len()).map_err(|_| at)?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle, and whether that is all that it holds.
#[must_use]
pub fn entries(mut bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut all = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let Some((entry, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
            return (all, false);
        };
        all.push(entry);
        bytes = rest;
    }
    (all, bytes.is_empty())
}

/// Where files are read from.
pub trait Files {
    /// A file by its path; `None` where there is none.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
}

impl Files for std::collections::BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.get(path).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path(TileId { level: 0, index: 1_234_067 }, 256), "tile/0/x001/x234/067");
        assert_eq!(bundle_path(5, 7), "tile/entries/005.p/7");
        assert_eq!(bundle_path(1_000, 256), "tile/entries/x001/000");
    }

    #[test]
    fn a_bundle_gives_its_entries_back_and_a_cut_one_says_so() {
        let bytes = bundle([&b"one"[..], b"", b"three"]).expect("short");
        assert_eq!(entries(&bytes), (vec![&b"one"[..], b"", b"three"], true));
        assert_eq!(entries(&bytes[..bytes.len() - 1]), (vec![&b"one"[..], b""], false));
        assert_eq!(entries(&bytes[..6]), (vec![&b"one"[..]], false));
        assert_eq!(bundle([&[0; 70_000][..]]), Err(0));
    }
}
