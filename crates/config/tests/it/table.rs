//! Tables of files and of what is said about them.

/// Holds each file under `@ name` in `table` against its messages, and shows all that differ.
pub(crate) fn hold(table: &str, name: &str, load: impl Fn(&str) -> String) {
    let cases = cases(table, name);
    assert!(!cases.is_empty(), "the table has no {name}");
    let mut wrong = String::new();
    for (file, expected) in cases {
        let found = load(&file);
        if found != expected {
            wrong.push_str(&format!("\n--- file\n{file}--- expected\n{expected}\n--- found\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The files under `@ name`, each with its messages.
fn cases(table: &str, name: &str) -> Vec<(String, String)> {
    let group = table.lines().skip_while(|line| line.strip_prefix("@ ") != Some(name)).skip(1);
    let mut cases = Vec::new();
    let (mut file, mut expected) = (String::new(), Vec::new());
    for line in group.take_while(|line| !line.starts_with("@ ")).chain([""]) {
        match line.strip_prefix("=> ") {
            Some(message) => expected.push(message.to_owned()),
            None if line.is_empty() && !expected.is_empty() => {
                cases.push((std::mem::take(&mut file), std::mem::take(&mut expected).join("\n")));
            }
            None if line.is_empty() && file.is_empty() => {}
            None => file.push_str(&format!("{line}\n")),
        }
    }
    assert!(file.is_empty(), "a file without messages under {name}");
    cases
}

/// Holds that every group of `table` has a test in `source`.
pub(crate) fn every_group_has_a_test(table: &str, source: &str) {
    let groups: Vec<_> = table.lines().filter_map(|line| line.strip_prefix("@ ")).collect();
    assert!(!groups.is_empty(), "a table has groups");
    for group in groups {
        assert!(source.contains(&format!("hold(\"{group}\")")), "{group} has no test");
    }
}
