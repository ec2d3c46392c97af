//! Bundles of a deployment.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bundle::{
    Bundle, BundleError, Contents, Log, LogFiles, Manifest, PublicKey, SIGNER_LABEL, pack, path_fault, write,
};
use model::Timestamp;
use seal::{KEY_BYTES, Key, KeyRing, Signer};

const NAME: &str = "example.org/gateway";

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let now = Timestamp(1_000_000);
    let key = Key::new([1; KEY_BYTES], Timestamp(0), Timestamp(0), None);
    KeyRing::new(&[key], now).expect("a ring").signer(now, SIGNER_LABEL)
});

/// Any bytes as a bundle; and as a place and another byte, in a line, and then files, each a line with its
/// path and a line with its text.
///
/// * What is read is bounded, and its paths stay inside.
/// * Files whose paths can be had become a bundle, also as those of a log, the same each time, and are read
///   again as they were.
/// * With any one byte of it changed, it is refused or has no good signature.
///
/// # Panics
/// Where one of these does not hold.
pub fn bundle(data: &[u8]) {
    bundle::fuzz(data);
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let numbers: Vec<usize> =
        lines.next().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    let mut files = BTreeMap::new();
    while let (Some(path), text) = (lines.next(), lines.next().unwrap_or_default()) {
        files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    let Some(config) = files.keys().next().cloned() else { return };
    let may = files.keys().all(|path| path_fault(path).is_none());
    let (mut contents, mut manifest) = (Contents::default(), Manifest::default());
    if let Ok(log) = pack(&files) {
        let found = LogFiles::read(&log).expect("what was packed is read");
        assert!(found.iter().eq(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))));
        contents.records.insert("a".to_owned(), log);
        let known = Log { origin: String::new(), first: 0, size: 0, keys: Vec::new() };
        manifest.records.insert("a".to_owned(), known);
    }
    contents.files = files;
    (manifest.program, manifest.config) = ("0.1.0".to_owned(), config);
    let made = write(manifest.clone(), &contents, NAME, &[&SIGNER]);
    let made = match made {
        Ok(made) => made,
        Err(BundleError::Manifest(_)) => {
            return assert!(manifest.config.contains('/'), "a configuration in no folder can be had");
        }
        Err(error) => return assert!(!may, "files with such paths can be had: {error}"),
    };
    assert!(may, "a path leads elsewhere");
    assert_eq!(write(manifest, &contents, NAME, &[&SIGNER]).as_ref(), Ok(&made), "it is the same each time");
    let key = PublicKey::of(NAME, &SIGNER);
    let read = Bundle::read(&made).expect("what was made is read");
    assert!(read.contents == contents && read.is_signed_by(&key));
    let [at, other] = numbers[..] else { return };
    let mut changed = made.clone();
    let at = at % made.len();
    changed[at] = changed[at].wrapping_add(u8::try_from(other % 255).expect("below 255") + 1);
    let taken = Bundle::read(&changed).is_ok_and(|bundle| bundle.is_signed_by(&key));
    assert!(!taken, "byte {at} can be another one");
}
