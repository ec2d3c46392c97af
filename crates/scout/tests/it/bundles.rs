use std::io::{Cursor, Write as _};

use bytes::Bytes;
use scout::{Bundle, BundleError};
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn manifest() -> Vec<u8> {
    let config = json!({"command": "node", "args": ["${__dirname}/server/index.js"]});
    let server = json!({"type": "node", "entry_point": "server/index.js", "mcp_config": config});
    let document = json!({"manifest_version": "0.3", "name": "notes", "version": "1.0.0",
        "description": "Notes", "author": {"name": "Ann"}, "server": server});
    document.to_string().into_bytes()
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(0o644)).expect("begun");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("an archive").into_inner()
}

fn with(more: &[(&str, &[u8])]) -> Vec<u8> {
    let manifest = manifest();
    archive(&[&[("manifest.json", &*manifest), ("server/index.js", b"1")], more].concat())
}

fn refused(bytes: Vec<u8>) -> String {
    match Bundle::read(Bytes::from(bytes), None) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

/// The bytes with each of `from` become `to`, which is as long.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(n, _)| n).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

#[test]
fn a_bundle_is_unpacked_as_a_whole_under_its_hash_and_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = Bytes::from(with(&[("data/a b.txt", b"text")]));
    let mut bundle = Bundle::read(bytes.clone(), None).expect("a bundle");
    let hash = bundle.sha256.clone();
    assert_eq!((bundle.manifest.name.as_str(), bundle.unpacked_bytes() > 5), ("notes", true));
    let place = bundle.unpack(folder.path()).expect("unpacked");
    assert_eq!(place, folder.path().join(&hash));
    assert_eq!(std::fs::read(place.join("data/a b.txt")).expect("there"), b"text");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    std::fs::write(place.join("data/more"), "x").expect("written");
    let mut again = Bundle::read(bytes, Some(&hash.to_uppercase())).expect("the same");
    again.unpack(folder.path()).expect("it is there");
    assert!(place.join("data/more").exists(), "what is there is not unpacked again");
}

#[test]
fn other_bytes_than_those_that_were_named_are_not_looked_at() {
    let error = Bundle::read(Bytes::from(with(&[])), Some(&"0".repeat(64))).err().expect("other bytes");
    assert!(matches!(error, BundleError::Hash { .. }), "{error}");
}

#[test]
fn archives_that_lead_out_are_bombs_or_none_at_all_are_refused() {
    assert!(refused(b"PK\x03\x04 and nothing more".to_vec()).contains("read the bundle"));
    assert!(refused(archive(&[("server/index.js", b"1")])).contains("manifest.json"));
    assert!(refused(with(&[("../../x", b"1")])).contains("a way out of the folder"));
    assert!(refused(with(&[("/etc/x", b"1")])).contains("absolute"));
    assert!(refused(with(&[("a\\..\\x", b"1")])).contains("means something else elsewhere"));
    assert!(refused(with(&[("Server/Index.js", b"2")])).contains("the same place"));
    let twice = replaced(with(&[("server/other.js", b"2")]), b"server/other.js", b"server/index.js");
    assert!(refused(twice).contains("one name"));
    assert!(
        refused(with(&[("bomb", &vec![0; 8 << 20])])).contains("bytes out of"),
        "a thousand times its bytes"
    );
    let mut zip = ZipWriter::new_append(Cursor::new(with(&[]))).expect("an archive");
    zip.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).expect("written");
    assert!(refused(zip.finish().expect("an archive").into_inner()).contains("link"));
}

#[test]
fn a_file_that_is_not_what_the_directory_says_is_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = b"0123456789abcdefghij";
    let mut stored = ZipWriter::new_append(Cursor::new(with(&[]))).expect("an archive");
    let plain = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    stored.start_file("server/more.js", plain).expect("begun");
    stored.write_all(text).expect("written");
    let bytes = stored.finish().expect("an archive").into_inner();
    // Other content under the sum of the old one.
    let bytes = replaced(bytes, text, b"0123456789abcdefghix");
    let mut bundle = Bundle::read(Bytes::from(bytes), None).expect("its directory is good");
    let error = bundle.unpack(folder.path()).expect_err("its content is not");
    assert!(matches!(error, BundleError::Lies(_)), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
}
