//! What becomes of a key where one file is laid over another.

use std::sync::OnceLock;

use super::keys::{Key, keys};
use super::schema::plain_schema;

/// Whether a key takes the keys of both files, as a section and a map of names do.
pub(super) fn merges_kind(kind: &str) -> bool {
    kind == "section" || kind.starts_with("map of ")
}

/// Whether the value at these keys takes the keys of both files.
pub(crate) fn merges(path: &[String]) -> bool {
    static MERGED: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    let merged = MERGED.get_or_init(|| {
        let split = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let all = keys(&plain_schema());
        let merged = all.iter().filter(|key| merges_kind(&key.kind));
        let sections = |key: &Key| key.section.as_deref().filter(|path| path.ends_with(".*")).map(split);
        merged.flat_map(|key| [Some(split(&key.path)), sections(key)].into_iter().flatten()).collect()
    });
    let fits = |pattern: &Vec<String>| {
        pattern.len() == path.len() && pattern.iter().zip(path).all(|(want, key)| want == "*" || want == key)
    };
    path.is_empty() || merged.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_maps_of_names_take_the_keys_of_both() {
        let merged = |path: &str| merges(&path.split('.').map(str::to_owned).collect::<Vec<_>>());
        for path in
            ["upstreams", "upstreams.crm", "upstreams.crm.headers", "limits", "upstreams.crm.timeouts"]
        {
            assert!(merged(path), "{path}");
        }
        for path in ["upstreams.crm.headers.authorization", "hosts", "rates", "store.url", "listen", "nope"] {
            assert!(!merged(path), "{path}");
        }
        assert!(merges(&[]));
    }
}
