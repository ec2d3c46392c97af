//! Every target over its corpus.

use std::fs;
use std::path::PathBuf;

use tidegate_fuzz::{TARGETS, Target};

use crate::mutate::{Numbers, mutated};

/// A corpus of fewer seeds says little.
const SEEDS_MIN: usize = 30;
/// Seeds are small, so that one can see what is in them.
const SEED_BYTES_MAX: usize = 2 * 1024;

fn folder(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "corpus", target].iter().collect()
}

/// The seeds of a target with their names, in the order of the names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder(target)).expect("a folder for each target");
    let mut seeds: Vec<_> = files
        .map(|file| {
            let file = file.expect("a file");
            let name = file.file_name().into_string().expect("a name in UTF-8");
            (name, fs::read(file.path()).expect("a seed"))
        })
        .collect();
    seeds.sort();
    seeds
}

/// Says at which input a target stopped.
struct Told<'a> {
    what: String,
    input: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.what, self.input.escape_ascii());
        }
    }
}

fn run(target: Target, what: String, input: &[u8]) {
    let told = Told { what, input };
    target(told.input);
}

/// Runs a target over its seeds, and over this many mutations of each.
fn run_all(name: &str, mutations: usize) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
    let seeds = seeds(name);
    assert!(seeds.len() >= SEEDS_MIN, "{name} has {} seeds", seeds.len());
    for (file, seed) in &seeds {
        run(target, format!("seed {file} of {name}"), seed);
    }
    for (file, seed) in &seeds {
        let mut numbers = Numbers::of(seed);
        for number in 0..mutations {
            let other = &seeds[numbers.below(seeds.len())].1;
            let input = mutated(seed, other, &mut numbers);
            run(target, format!("mutation {number} of seed {file} of {name}"), &input);
        }
    }
}

#[test]
fn envelope_holds_over_its_corpus_and_mutations_of_it() {
    run_all("envelope", 300);
}

#[test]
fn agreement_holds_over_its_corpus_and_mutations_of_it() {
    run_all("agreement", 120);
}

#[test]
fn sse_holds_over_its_corpus_and_mutations_of_it() {
    run_all("sse", 150);
}

#[test]
fn framing_holds_over_its_corpus_and_mutations_of_it() {
    run_all("framing", 400);
}

#[test]
fn bridge_holds_over_its_corpus_and_mutations_of_it() {
    run_all("bridge", 80);
}

#[test]
fn config_holds_over_its_corpus_and_mutations_of_it() {
    run_all("config", 40);
}

#[test]
fn openapi_holds_over_its_corpus_and_mutations_of_it() {
    run_all("openapi", 60);
}

#[test]
fn content_holds_over_its_corpus_and_mutations_of_it() {
    run_all("content", 60);
}

#[test]
fn every_seed_is_small() {
    for (target, _) in TARGETS {
        for (name, seed) in seeds(target) {
            assert!(seed.len() <= SEED_BYTES_MAX, "{target}/{name} has {} bytes", seed.len());
        }
    }
}

#[test]
fn bundle_holds_over_its_corpus_and_mutations_of_it() {
    run_all("bundle", 40);
}

#[test]
fn portable_holds_over_its_corpus_and_mutations_of_it() {
    run_all("portable", 40);
}
