//! Rulesets that are shipped.

use governance::{Engine, PRESETS};

#[test]
fn every_preset_is_a_ruleset_that_makes_sense() {
    for preset in PRESETS {
        let rules = preset.ruleset().unwrap_or_else(|fault| panic!("{}: {fault}", preset.name));
        assert_eq!(rules.name, preset.name);
        if let Err(faults) = Engine::new(rules) {
            let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
            panic!("{}:\n{}", preset.name, all.join("\n"));
        }
    }
}
