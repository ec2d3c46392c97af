//! Every configuration that the repository has ever shipped is still one: `docs/compatibility.md` promises
//! it.

use std::path::Path;

use tidegate_config::load_slice;

/// What was shipped before there was a promise, and is refused now on purpose: each has a line in
/// `docs/compatibility.md`.
const BROKEN: [(&str, &str); 8] = [
    ("docker-1.yaml", "nothing says who may call"),
    ("docker-2.yaml", "nothing says who may call"),
    ("every-key-1.yaml", "limits.call_total_timeout: unknown key"),
    ("every-key-13.yaml", "nothing says who may call"),
    ("kubernetes-1.yaml", "nothing says who may call"),
    ("kubernetes-2.yaml", "nothing says who may call"),
    ("kubernetes-3.yaml", "nothing says who may call"),
    ("kubernetes-4.yaml", "nothing says who may call"),
];

#[test]
fn every_configuration_that_was_ever_shipped_still_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert!(names.len() > 30, "the corpus has {} files", names.len());
    let mut wrong = String::new();
    for name in names {
        let bytes = std::fs::read(folder.join(&name)).expect("a file");
        let found = load_slice(&bytes, &name);
        let broken = BROKEN.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
        match (found, broken) {
            (Ok(_), None) => {}
            (Err(faults), Some(why)) if faults.to_string().contains(why) => {}
            (Ok(_), Some(_)) => wrong.push_str(&format!("{name}: it loads again; take it from the list\n")),
            (Err(faults), _) => wrong.push_str(&format!("{faults}\n")),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
