//! The documented migrations in `examples/migrations`: what becomes of each, and what is lost.

use std::path::{Path, PathBuf};

use portable::{Imported, Likeness, Migrated, Origin, Report, inline};

use crate::format;

/// Each migration: its folder, its format, the files that are read as one text.
const ALL: &[(&str, &str, &[&str])] = &[
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

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/migrations").join(name)
}

/// The text of a migration: its files, as documents of one text.
fn text(name: &str, files: &[&str]) -> String {
    let texts = files.iter().map(|file| std::fs::read_to_string(folder(name).join(file)).unwrap());
    texts.collect::<Vec<_>>().join("\n---\n")
}

fn import(name: &str, of: &str, files: &[&str]) -> Imported {
    let origin = Origin { file: files[0], ..Origin::default() };
    format(of).import(&text(name, files), &origin).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

fn migrate(name: &str, of: &str, files: &[&str]) -> (Migrated, Report) {
    let imported = import(name, of, files);
    let migrated = portable::migrate(imported.deployment).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let mut report = imported.report;
    report.extend(migrated.report.clone());
    (migrated, report)
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

/// `UPDATE_DOCS=1` writes them; look at each difference.
#[test]
fn each_becomes_what_stands_beside_it() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    for (name, of, files) in ALL {
        let (migrated, report) = migrate(name, of, files);
        let mut expected = vec![("tidegate.yaml".to_owned(), migrated.config)];
        expected.extend(migrated.beside);
        expected.push(("losses.txt".to_owned(), format!("{report}\n")));
        for (file, text) in expected {
            let path = folder(name).join(&file);
            if update {
                std::fs::write(&path, &text).unwrap();
            }
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(there, text, "{name}/{file}: run with UPDATE_DOCS=1 and look at the difference");
        }
    }
}

#[test]
fn each_folder_has_a_migration() {
    let mut folders: Vec<String> = std::fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| folder(name).is_dir())
        .collect();
    folders.sort();
    assert_eq!(folders, ALL.iter().map(|(name, ..)| (*name).to_owned()).collect::<Vec<_>>());
    assert!(folders.len() >= 10);
}
