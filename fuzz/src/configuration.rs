//! Files of configuration.

use config::{Config, Diagnostic, Diagnostics, explain, load_slice, mcp_json, nearest_key};

use crate::json::is_json;

/// Any bytes as a `tidegate.yaml` and as a client's file of servers.
///
/// * Each is a configuration or a list of what is wrong, and everything that is wrong has a position inside
///   the file.
/// * A configuration that is written and read again is the same; the values of secrets are never written.
/// * What is read from a client's file that is JSON does not change with a comment after it.
/// * Line ends of either kind give the same.
/// * Every upstream has exactly one kind of target, and any key can be asked about.
///
/// # Panics
/// Where one of these does not hold.
pub fn config(data: &[u8]) {
    let read = [
        load_slice(data, "f"),
        mcp_json::load_slice(data, "f").map(|imported| {
            imported.warnings.iter().for_each(|warning| assert_inside(warning, data));
            imported.config
        }),
    ];
    for result in &read {
        match result {
            Ok(config) => assert_whole(config),
            Err(faults) => assert_faults(faults, data),
        }
    }
    let [yaml, json] = read;
    // What is no JSON may be taken as the YAML that it is, and then a comment may be text.
    if let Ok(config) = &json
        && is_json(data)
    {
        let commented = [data, b"\n// a note"].concat();
        let again = mcp_json::load_slice(&commented, "f").map(|imported| imported.config);
        assert_eq!(again.as_ref(), Ok(config), "with a comment");
    }
    if !data.contains(&b'\r') {
        let text: Vec<u8> = data
            .iter()
            .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
            .copied()
            .collect();
        assert_eq!(load_slice(&text, "f").ok(), yaml.ok(), "with CR LF");
        let again = mcp_json::load_slice(&text, "f").map(|imported| imported.config);
        assert_eq!(again.ok(), json.ok(), "with CR LF");
    }
    // Whoever asks for a key writes one line.
    if let Ok(key) = std::str::from_utf8(data)
        && !key.contains('\n')
    {
        let _ = explain(key);
        if let Some(near) = nearest_key(key) {
            assert!(explain(&near).is_some(), "a key that is proposed and not there: {near}");
        }
    }
}

fn assert_whole(config: &Config) {
    for upstream in config.upstreams.values() {
        assert!(upstream.url.is_some() != upstream.command.is_some(), "a target is checked");
        let _ = upstream.fingerprint();
    }
    let _ = (config.host_list(), config.origin_list(), format!("{config:?}"));
    let written = serde_json::to_string(config).expect("a configuration is JSON");
    let again = load_slice(written.as_bytes(), "f");
    if written.contains("[secret]") {
        let faults = again.expect_err("a hidden value cannot be read").to_string();
        assert!(faults.contains("[secret]"), "{faults}");
    } else {
        assert_eq!(again.as_ref(), Ok(config), "written and read: {written}");
    }
}

fn assert_faults(faults: &Diagnostics, data: &[u8]) {
    assert!(!faults.as_slice().is_empty(), "refused without a word");
    assert!(faults.as_slice().len() <= FAULTS_MAX, "{} faults", faults.as_slice().len());
    for fault in faults {
        assert_inside(fault, data);
        assert!(!fault.message.trim().is_empty(), "a fault without words: {fault:?}");
    }
    let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
    assert!(places.is_sorted(), "not in the order of the file: {faults}");
}

/// Each step of the reading has its own limit of faults.
const FAULTS_MAX: usize = 200;

/// The position is that of a character, or where the next one would stand.
fn assert_inside(fault: &Diagnostic, data: &[u8]) {
    assert!(fault.line > 0 && fault.column > 0, "no position: {fault}");
    let text = String::from_utf8_lossy(data);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let (line, column) = (fault.line as usize, fault.column as usize);
    assert!(line <= lines.len(), "behind the last line: {fault}");
    let length = lines[line - 1].chars().count();
    assert!(column <= length + 1, "behind the end of a line of {length}: {fault}");
}
