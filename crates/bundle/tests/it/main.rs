//! Bundles as they are written, and what is refused that looks like one.

use std::collections::BTreeMap;

use bundle::{
    Bundle, BundleError, Contents, FILE_BYTES_MAX, Log, LogFiles, MEMBERS_MAX, Manifest, PublicKey,
    SIGNER_LABEL, fuzz, pack, write,
};
use model::Timestamp;
use proptest::prelude::*;
use seal::{KEY_BYTES, Key, KeyRing, Signer};

const NOW: Timestamp = Timestamp(1_000_000);
const NAME: &str = "example.org/gateway";

fn signer(byte: u8) -> Signer {
    let key = Key::new([byte; KEY_BYTES], Timestamp(0), Timestamp(0), None);
    KeyRing::new(&[key], NOW).expect("a ring").signer(NOW, SIGNER_LABEL)
}

fn manifest() -> Manifest {
    Manifest { program: "0.1.0".to_owned(), config: "tidegate.yaml".to_owned(), ..Manifest::default() }
}

fn contents(files: &[(&str, &str)]) -> Contents {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    Contents { files, pins: b"{}\n".to_vec(), ..Contents::default() }
}

fn usual() -> Contents {
    contents(&[
        ("policies/team.cedar", "permit(principal, action, resource);"),
        ("tidegate.yaml", "limits: {}\n"),
    ])
}

fn made(contents: &Contents) -> Vec<u8> {
    write(manifest(), contents, NAME, &[&signer(1)]).expect("a bundle")
}

#[test]
fn the_same_deployment_is_the_same_bytes_and_comes_out_as_it_went_in() {
    let bytes = made(&usual());
    assert_eq!(bytes, made(&usual()));
    let bundle = Bundle::read(&bytes).expect("it is whole");
    assert_eq!(bundle.contents, usual());
    assert_eq!(bundle.manifest.members.len(), 3);
    assert_eq!(bundle.signers(), [NAME]);
    assert!(bundle.is_signed_by(&PublicKey::of(NAME, &signer(1))));
}

#[test]
fn a_bundle_of_somebody_else_is_told_apart() {
    let bundle = Bundle::read(&made(&usual())).expect("it is whole");
    assert!(!bundle.is_signed_by(&PublicKey::of(NAME, &signer(2))), "another key");
    assert!(!bundle.is_signed_by(&PublicKey::of("example.org/other", &signer(1))), "another name");
}

#[test]
fn any_other_byte_anywhere_is_refused_or_has_no_good_signature() {
    let bytes = made(&usual());
    let key = PublicKey::of(NAME, &signer(1));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let taken = Bundle::read(&changed).is_ok_and(|bundle| bundle.is_signed_by(&key));
        assert!(!taken, "a change of byte {at} is noticed");
    }
    for len in [0, 1, 511, 512, bytes.len() - 512, bytes.len() - 1] {
        assert!(Bundle::read(&bytes[..len]).is_err(), "{len} bytes of it");
    }
    assert!(Bundle::read(&[bytes.as_slice(), &[0]].concat()).is_err(), "something follows");
}

/// The usual bundle with something done to its first member that begins with `name`.
fn forged(name: &str, change: impl Fn(&mut [u8])) -> BundleError {
    let mut bytes = made(&usual());
    let at = (0..bytes.len()).step_by(512).find(|at| bytes[*at..].starts_with(name.as_bytes()));
    let header = &mut bytes[at.expect("it is there")..][..512];
    change(header);
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Bundle::read(&bytes).expect_err("it is refused")
}

#[test]
fn links_times_and_names_that_lead_out_are_refused_also_with_a_good_checksum() {
    let link = forged("files/policies", |header| header[156] = b'2');
    assert!(link.to_string().contains("a link"), "{link}");
    let time = forged("files/policies", |header| header[146] = b'7');
    assert!(time.to_string().contains("a time"), "{time}");
    let name = forged("files/policies", |header| header[6..16].copy_from_slice(b"../../etc/"));
    assert!(matches!(name, BundleError::Unknown(_)), "{name}");
    let huge = forged("files/policies", |header| header[124..135].copy_from_slice(b"77777777777"));
    assert!(huge.to_string().contains("cut off"), "{huge}");
}

#[test]
fn what_cannot_be_in_a_bundle_is_not_put_into_one() {
    let failed =
        |contents: &Contents| write(manifest(), contents, NAME, &[&signer(1)]).expect_err("it fails");
    for path in ["../x", "/x", "a\\b", ""] {
        assert!(matches!(failed(&contents(&[(path, "")])), BundleError::Path { .. }), "{path}");
    }
    let large = "x".repeat(FILE_BYTES_MAX + 1);
    assert!(matches!(failed(&contents(&[("a", &large)])), BundleError::MemberLarge(_)));
    let many = (0..=MEMBERS_MAX).map(|n| (format!("f{n}"), Vec::new())).collect::<BTreeMap<_, _>>();
    assert_eq!(failed(&Contents { files: many, ..Contents::default() }), BundleError::Many);
}

#[test]
fn a_bundle_without_its_configuration_is_refused() {
    let bytes = made(&contents(&[("other.yaml", "")]));
    assert_eq!(Bundle::read(&bytes), Err(BundleError::Missing("files/tidegate.yaml".to_owned())));
}

#[test]
fn a_manifest_of_another_format_is_refused_by_name() {
    let text = Manifest { format: "tidegate-bundle/2".to_owned(), ..manifest() }.text();
    let error = Manifest::parse(text.as_bytes()).expect_err("another format");
    assert!(error.to_string().contains("its format is not tidegate-bundle/1"), "{error}");
    let text = Manifest { format: "tidegate-bundle/1".to_owned(), ..manifest() }.text();
    assert!(Manifest::parse(text.as_bytes()).is_ok());
    assert!(Manifest::parse(text.replace("\"pins\"", "\"more\": 1, \"pins\"").as_bytes()).is_err());
    assert!(Manifest::parse(text.trim_end().as_bytes()).is_err(), "another form of the same");
}

/// A bundle with the logs of these tenants, each of one file.
fn with_records(tenants: &[&str]) -> (Manifest, Contents) {
    let file = |tenant: &str| BTreeMap::from([("checkpoint".to_owned(), tenant.as_bytes().to_vec())]);
    let mut contents = usual();
    let mut manifest = manifest();
    for tenant in tenants {
        let log = Log { origin: format!("example.org/{tenant}"), first: 0, size: 1, keys: Vec::new() };
        manifest.records.insert((*tenant).to_owned(), log);
        contents.records.insert((*tenant).to_owned(), pack(&file(tenant)).expect("a good path"));
    }
    (manifest, contents)
}

#[test]
fn logs_come_out_as_they_went_in_whatever_their_tenants_are_called() {
    let (manifest, contents) = with_records(&["default", "../../etc", "caf\u{e9} \n"]);
    let bytes = write(manifest, &contents, NAME, &[&signer(1)]).expect("a bundle");
    let bundle = Bundle::read(&bytes).expect("it is whole");
    assert_eq!(bundle.contents, contents);
    let names: Vec<&str> = bundle.manifest.members.iter().map(|member| member.path.as_str()).collect();
    assert_eq!(names[3..], ["records/0001.tar", "records/0002.tar", "records/0003.tar"]);
    let log = LogFiles::read(&bundle.contents.records["default"]).expect("a log");
    assert_eq!(log.iter().collect::<Vec<_>>(), [("checkpoint", &b"default"[..])]);
}

#[test]
fn a_log_that_is_missing_or_that_nobody_named_is_refused() {
    let (manifest, mut contents) = with_records(&["a", "b"]);
    contents.records.remove("b");
    let refused = write(manifest, &contents, NAME, &[&signer(1)]);
    assert!(matches!(refused, Err(BundleError::Manifest(_))), "{refused:?}");
    let (mut manifest, contents) = with_records(&["a", "b"]);
    let more = manifest.records["b"].clone();
    manifest.records.insert("c".to_owned(), more);
    let refused = write(manifest, &contents, NAME, &[&signer(1)]);
    assert!(matches!(refused, Err(BundleError::Manifest(_))), "{refused:?}");
}

#[test]
fn files_of_a_log_stay_in_its_folder() {
    let out = BTreeMap::from([("../checkpoint".to_owned(), Vec::new())]);
    assert!(matches!(pack(&out), Err(BundleError::Path { .. })));
    let good = pack(&BTreeMap::from([("aa/checkpoint".to_owned(), Vec::new())])).expect("a good path");
    let mut bad = good.clone();
    bad[..2].copy_from_slice(b"..");
    bad[148..156].copy_from_slice(b"        ");
    let sum: u32 = bad[..512].iter().map(|byte| u32::from(*byte)).sum();
    bad[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(matches!(LogFiles::read(&bad), Err(BundleError::Path { .. })), "a good checksum");
    let mut contents = usual();
    contents.records.insert("a".to_owned(), bad);
    let mut manifest = manifest();
    let log = Log { origin: String::new(), first: 0, size: 0, keys: Vec::new() };
    manifest.records.insert("a".to_owned(), log);
    let bytes = write(manifest, &contents, NAME, &[&signer(1)]).expect("bytes");
    assert!(matches!(Bundle::read(&bytes), Err(BundleError::Path { .. })), "it is refused where it is read");
}

#[test]
fn a_manifest_without_records_is_what_it_was_before_there_were_any() {
    assert!(!manifest().text().contains("records"));
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(files in proptest::collection::btree_map(
        "[a-z]{1,9}(/[a-z0-9._-]{0,9}[a-z])?", proptest::collection::vec(any::<u8>(), 0..700), 0..9,
    ), pins in proptest::collection::vec(any::<u8>(), 0..700)) {
        let mut all = Contents { files, pins, ..Contents::default() };
        all.files.insert("tidegate.yaml".to_owned(), Vec::new());
        let bundle = Bundle::read(&made(&all)).expect("it is whole");
        prop_assert_eq!(bundle.contents, all);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        fuzz(&bytes);
    }
}

#[test]
fn what_nobody_would_read_is_not_made() {
    let nested = Manifest { config: "a/tidegate.yaml".to_owned(), ..manifest() };
    let files = contents(&[("a/tidegate.yaml", "limits: {}\n")]);
    let refused = write(nested, &files, NAME, &[&signer(1)]);
    assert!(matches!(refused, Err(BundleError::Manifest(_))), "{refused:?}");
}
