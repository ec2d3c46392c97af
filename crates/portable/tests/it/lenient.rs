//! What is written for Zed is read by the parser of JSON that Zed reads its settings with.

use portable::{Format, Origin, Server, Target, Text, clients};
use proptest::prelude::*;
use serde_json::Value;

use crate::models::deployment;

fn zed() -> &'static dyn Format {
    let found = clients().into_iter().find(|format| format.name() == "zed");
    found.unwrap_or_else(|| panic!("there is no zed"))
}

/// As Zed reads it: with comments and last commas.
fn read(text: &str) -> Value {
    serde_json_lenient::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn an_entry_goes_into_settings_with_comments_and_is_what_zed_reads() {
    let there = "// mine\n{\n  \"theme\": \"One Dark\", // dark\n  \"context_servers\": {\n\
                 /* one */\n    \"old\": { \"command\": \"x\", \"args\": [], },\n  },\n}\n";
    let mut deployment = portable::Deployment::default();
    let mut program = Server::program(&["npx", "-y", "a server"]);
    program.env.insert("LEVEL".to_owned(), Text::plain("de\"bug\\"));
    deployment.servers.insert("files".to_owned(), program);
    let mut remote = Server::at("https://mcp.example.com/mcp");
    remote.headers.insert("X-Team".to_owned(), Text::plain("tide"));
    deployment.servers.insert("remote".to_owned(), remote);
    let target = Target { existing: Some(there), ..Target::default() };
    let written = zed().export(&deployment, &target).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(written.text.contains("// dark") && written.text.contains("/* one */"), "{}", written.text);
    let settings = read(&written.text);
    assert_eq!(settings["theme"], "One Dark");
    let servers = &settings["context_servers"];
    assert_eq!(servers["old"]["command"], "x");
    assert_eq!(servers["files"]["command"], "npx");
    assert_eq!(servers["files"]["args"], serde_json::json!(["-y", "a server"]));
    assert_eq!(servers["files"]["env"]["LEVEL"], "de\"bug\\");
    assert_eq!(servers["remote"]["url"], "https://mcp.example.com/mcp");
    assert_eq!(servers["remote"]["headers"]["X-Team"], "tide");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_for_zed_is_read_by_its_parser_as_by_ours(deployment in deployment()) {
        let written = zed().export(&deployment, &Target::default());
        let written = written.map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        let lenient: Value = serde_json_lenient::from_str(&written.text)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{}", written.text)))?;
        let ours = zed().import(&written.text, &Origin::default());
        let ours = ours.map_err(|fault| TestCaseError::fail(fault.to_string()))?.deployment;
        let none = serde_json::Map::new();
        let theirs = lenient["context_servers"].as_object().unwrap_or(&none);
        let names = |all: Vec<&String>| {
            let mut all: Vec<String> = all.into_iter().cloned().collect();
            all.sort();
            all
        };
        prop_assert_eq!(names(theirs.keys().collect()), names(ours.servers.keys().collect()));
        for (name, server) in &ours.servers {
            let entry = &theirs[name];
            if let Some(url) = server.url.as_ref().and_then(Text::as_plain) {
                prop_assert_eq!(entry["url"].as_str(), Some(url));
            }
            for (key, value) in server.env.iter().chain(&server.headers) {
                let part = if server.url.is_some() { "headers" } else { "env" };
                if let Some(value) = value.as_plain() {
                    prop_assert_eq!(entry[part][key].as_str(), Some(value), "{}", written.text);
                }
            }
        }
    }
}
