//! The documented migrations in `examples/migrations`: what is read of each, and what is lost.

use std::path::{Path, PathBuf};

use portable::{Imported, Likeness, Origin, inline};

use crate::format;

/// Each migration: its folder, its format, the files that are read as one text.
pub const ALL: &[(&str, &str, &[&str])] = &[
    ("agentgateway-policies", "agentgateway", &["agentgateway.yaml"]),
    ("agentgateway-simple", "agentgateway", &["agentgateway.yaml"]),
    ("contextforge-catalog", "contextforge", &["mcp-catalog.yml"]),
    ("contextforge-export", "contextforge", &["export.json"]),
    ("docker-catalog", "docker", &["catalog.yaml", "registry.yaml", "config.yaml", "tools.yaml"]),
    ("docker-profile", "docker", &["profile.yaml"]),
    ("litellm", "litellm", &["config.yaml"]),
    ("metamcp", "metamcp", &["mcp-servers-export.json"]),
    ("toolhive-registry", "toolhive", &["registry.json"]),
    ("toolhive-run", "toolhive", &["crm.json"]),
    ("toolhive-vmcp", "toolhive", &["vmcp.yaml"]),
];

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/migrations").join(name)
}

/// The text of a migration: its files, as documents of one text.
pub fn text(name: &str, files: &[&str]) -> String {
    let texts = files.iter().map(|file| std::fs::read_to_string(folder(name).join(file)).unwrap());
    texts.collect::<Vec<_>>().join("\n---\n")
}

pub fn import(name: &str, of: &str, files: &[&str]) -> Imported {
    let origin = Origin { file: files[0], ..Origin::default() };
    format(of).import(&text(name, files), &origin).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

#[test]
fn each_is_known_for_what_it_is_and_by_no_other_format() {
    for (name, of, files) in ALL {
        let text = text(name, files);
        for other in portable::GATEWAYS {
            let likeness = other.detect(files[0], &text);
            match other.name() == *of {
                true => assert!(likeness >= Likeness::Likely, "{name}: {likeness:?}"),
                false => assert_eq!(likeness, Likeness::No, "{name} is no {}", other.name()),
            }
        }
    }
}

#[test]
fn nothing_is_refused_and_no_secret_stands_in_what_is_read() {
    for (name, of, files) in ALL {
        let imported = import(name, of, files);
        assert!(imported.refused.is_empty(), "{name}: {:?}", imported.refused);
        assert!(!imported.deployment.servers.is_empty(), "{name}");
        assert_eq!(inline(&imported.deployment), [], "{name}");
    }
}

#[test]
fn print() {
    for (name, of, files) in ALL {
        let imported = import(name, of, files);
        println!("=== {name}\n{}\n{:#?}", imported.report, imported.deployment.gateway);
    }
}
