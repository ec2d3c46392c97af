//! The page of the matrix is that of the code.

use portable::{Field, Format, GATEWAYS, Tidegate, clients, matrix};

/// All formats of this crate.
pub fn formats() -> Vec<&'static dyn Format> {
    let mut all = clients();
    all.push(&Tidegate);
    all
}

/// Those of other gateways, too, which have tests of their own.
fn all() -> Vec<&'static dyn Format> {
    formats().into_iter().chain(GATEWAYS.iter().copied()).collect()
}

#[test]
fn the_page_is_that_of_the_code() {
    let page = matrix(&all());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/portability.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect("the page is written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/reference/portability.md is old: UPDATE_DOCS=1 cargo test -p tidegate-portable"
    );
}

#[test]
fn every_format_has_a_name_of_its_own_and_says_of_every_field_what_becomes_of_it() {
    let all = all();
    for (index, format) in all.iter().enumerate() {
        assert!(all[..index].iter().all(|other| other.name() != format.name()), "{}", format.name());
        assert!(format.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        for field in Field::ALL {
            let _ = format.support(*field);
        }
    }
}
