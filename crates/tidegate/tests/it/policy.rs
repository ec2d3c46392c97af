//! `tidegate policy`, and policies of a gateway that runs.

use serde_json::Value;

use crate::program::Folder;

const PAGE: &str = include_str!("../../../../docs/policy.md");

fn block(begin: &str, number: usize) -> &'static str {
    let rest = PAGE.split(begin).nth(number + 1).expect("a block of the page");
    rest.split("\n```").next().expect("its end")
}

/// What the page on policies shows: a configuration, its policies and their cases.
fn page() -> Folder {
    let folder = Folder::new();
    folder.write("tidegate.yaml", block("```yaml\n", 0));
    folder.write("team.cedar", block("```cedar\n", 0));
    folder.write("cases.yaml", block("```yaml\n", 1));
    folder
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn what_the_page_on_policies_shows_is_so() {
    let folder = page();
    let said = folder.run(&["policy", "check"]).await.good();
    assert!(said.starts_with("the policies are good: 5, version "), "{said}");
    assert_eq!(folder.run(&["policy", "test", "cases.yaml"]).await.good(), "7 of 7 cases are as expected\n");
    let schema = folder.run(&["policy", "schema"]).await.good();
    assert!(schema.contains("\"amount\"?: Long,") && schema.contains("entity Tool in [Upstream, Endpoint]"));
    let explain = ["policy", "explain", "--as", "acme/ann", "--group", "sales", "--tool", "crm/pay"];
    let small = [&explain[..], &["--arguments", "{\"amount\": 5}", "--output", "json"]].concat();
    let found = json(&folder.run(&small).await.good());
    assert_eq!((&found["effect"], &found["deciding"][0]["id"]), (&"allow".into(), &"team/sales".into()));
    assert_eq!(found["deciding"][0]["line"], 2);
    assert_eq!(found["facts"]["context"]["arguments"]["amount"], 5);
}

#[tokio::test]
async fn what_is_not_as_expected_and_what_changes_is_told() {
    let folder = page();
    let cases = block("```yaml\n", 1).replacen("expect: deny", "expect: allow", 1);
    folder.write("wrong.yaml", &cases);
    let run = folder.run(&["policy", "test", "wrong.yaml"]).await;
    assert_eq!(run.code, 4);
    assert!(
        run.stdout.contains("nobody deletes: expected allow, found deny by [team/no-deletes]"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.ends_with("6 of 7 cases are as expected\n"), "{}", run.stdout);
    folder.write("other.cedar", &block("```cedar\n", 0).replace("acme/sales", "acme/support"));
    folder.write("new.yaml", &block("```yaml\n", 0).replace("team.cedar", "other.cedar"));
    let run = folder.run(&["policy", "diff", "new.yaml", "cases.yaml", "--output", "json"]).await;
    assert_eq!(run.code, 4);
    let found = json(&run.stdout);
    assert_eq!(found["changes"].as_array().unwrap().len(), 3);
    assert_eq!(found["changes"][0]["before"]["effect"], "allow");
    assert_eq!(found["changes"][0]["after"]["effect"], "deny");
    let same = folder.run(&["policy", "diff", "tidegate.yaml", "cases.yaml"]).await.good();
    assert_eq!(same, "none of 7 cases is decided otherwise\n");
}

#[tokio::test]
async fn wrong_policies_are_told_with_their_lines_by_every_command() {
    let folder = page();
    folder.write("team.cedar", "permit(principal, action,\n  resource in Upstream::\"crn\");\n");
    for command in [&["policy", "check"][..], &["config", "check"], &["up"]] {
        let said = folder.run(command).await.bad(3);
        assert!(
            said.contains("team.cedar:2:26: there is no upstream \"crn\"; did you mean \"crm\"?"),
            "{said}"
        );
    }
    let run = folder.run(&["config", "check", "--output", "json"]).await;
    assert_eq!((run.code, &json(&run.stdout)["faults"][0]["line"]), (3, &2.into()));
}

#[tokio::test]
async fn a_changed_policy_is_put_in_force_and_a_wrong_one_is_not() {
    let folder = Folder::with("policy: {presets: [everyone], files: [team.cedar]}\n");
    folder.write("team.cedar", "permit(principal, action, resource);\n");
    let mut up = folder.up(&[]).await;
    folder.write("team.cedar", "permit(principal, action, resource); // the same\n");
    up.program.stderr.find("the new configuration is in force").await;
    folder.write("team.cedar", "permit(principal, action, resource)\n");
    up.program.stderr.find("the new configuration was refused").await;
    // A file that came with a fault is followed as well.
    folder.write("other.cedar", "permit(");
    folder.configure("policy: {presets: [everyone], files: [other.cedar]}\n");
    up.program.stderr.find("the new configuration was refused").await;
    folder.write("other.cedar", "forbid(principal, action, resource == Tool::\"a/b\");");
    let told = up.program.stderr.find("the new configuration").await;
    assert!(told.contains("was refused"), "there is no upstream a: {told}");
    folder.write("other.cedar", "forbid(principal, action, resource) when { principal.bound };");
    up.program.stderr.find("the new configuration is in force").await;
}
