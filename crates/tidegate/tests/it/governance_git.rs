//! `tidegate governance plan` and `apply`: a branch of a repository under rules, as a build server asks.

use std::path::PathBuf;
use std::time::Duration;

use egress::ChildOptions;
use serde_json::Value;

use crate::program::Folder;

const CONFIG: &str = "governance: {rules: rules.yaml, operators: {'pia@partner.example': pia}}\n\
                      upstreams:\n  crm:\n    url: http://127.0.0.1:9/mcp\n";
/// People who have keys; pia is known by her address.
const PEOPLE: [(&str, &str); 6] = [
    ("pia", "pia@partner.example"),
    ("fay", "fay"),
    ("hana", "hana"),
    ("ivo", "ivo"),
    ("jana", "jana"),
    ("eve", ""),
];

struct Repo {
    folder: Folder,
}

fn keys(folder: &Folder, name: &str) -> PathBuf {
    folder.path(&format!("keys-{name}"))
}

impl Repo {
    async fn tool(&self, words: &[&str]) -> String {
        let argv = words.iter().map(|&word| word.to_owned()).collect();
        let home = self.folder.path("home").display().to_string();
        let gnupg = self.folder.path("gnupg").display().to_string();
        let env = [("HOME", home.as_str()), ("GIT_CONFIG_NOSYSTEM", "1"), ("GNUPGHOME", &gnupg)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let cwd = Some(self.folder.path("repo"));
        let options = ChildOptions { argv, env, cwd, ..ChildOptions::default() };
        let ran = egress::run(options, 1 << 20, Duration::from_secs(60)).await.unwrap();
        assert_eq!(ran.exit.code, Some(0), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    async fn git(&self, words: &[&str]) -> String {
        let base = ["git", "-c", "user.name=somebody", "-c", "user.email=s@example.com"];
        self.tool(&[&base, words].concat()).await
    }

    /// A repository whose branch `main` is under rules.
    async fn begin(rules: &str) -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("repo/governance")).unwrap();
        std::fs::create_dir_all(folder.path("home")).unwrap();
        let repo = Self { folder };
        let mut signers = String::new();
        for (name, principal) in PEOPLE {
            let file = keys(&repo.folder, name).display().to_string();
            repo.tool(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &file]).await;
            if !principal.is_empty() {
                let public = std::fs::read_to_string(format!("{file}.pub")).unwrap();
                signers.push_str(&format!("{principal} namespaces=\"git\" {}\n", public.trim()));
            }
        }
        repo.write("tidegate.yaml", CONFIG);
        repo.write("rules.yaml", rules);
        repo.write("governance/signers", &signers);
        repo.git(&["init", "-q", "-b", "main"]).await;
        repo.git(&["add", "-A"]).await;
        repo.git(&["commit", "-q", "-m", "begin"]).await;
        repo.git(&["checkout", "-q", "-b", "change"]).await;
        repo
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path(&format!("repo/{name}")), text).unwrap();
    }

    /// A commit that somebody signs.
    async fn commit(&self, who: &str, message: &str) {
        let key = format!("user.signingkey={}", keys(&self.folder, who).display());
        let words =
            ["-c", "gpg.format=ssh", "-c", &key, "commit", "-q", "-S", "--allow-empty", "-a", "-m", message];
        self.git(&words).await;
    }

    /// A change of the configuration that somebody signs.
    async fn upstream(&self, who: &str, url: &str) {
        self.write("tidegate.yaml", &format!("{CONFIG}  pay-eu:\n    url: {url}\n"));
        let trailers = "Governance-Risk: medium\nGovernance-Area: customer-facing";
        self.commit(who, &format!("Payments in the EU\n\n{trailers}")).await;
    }

    async fn ask(&self, command: &str, words: &[&str]) -> (i32, String) {
        let place = ["--repository", "repo", "--base", "main"];
        let ran = self.folder.run(&[&["governance", command], &place[..], words].concat()).await;
        (ran.code, format!("{}{}", ran.stdout, ran.stderr))
    }
}

fn rules(keep_times: bool) -> String {
    let text = governance::preset("enterprise").unwrap().text;
    let keep = |line: &&str| keep_times || !line.trim_start().starts_with("comment_period:");
    text.lines().filter(keep).map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_commits_propose_vote_and_show_and_what_is_accepted_is_written_down() {
    let repo = Repo::begin(&rules(false)).await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert_eq!((code, said.as_str()), (0, "the branch changes nothing that is under rules\n"));
    repo.upstream("pia", "http://127.0.0.1:9/mcp").await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(
        code == 4 && said.contains("pia: proposes it") && said.contains("needs evidence: security-scan"),
        "{said}"
    );
    assert!(said.contains("+  pay-eu:") && said.contains("gains default/anonymous: pay-eu/*"), "{said}");
    repo.commit("fay", "Looked at\n\nGovernance-Evidence: security-scan report 7").await;
    repo.commit("hana", "Yes\n\nGovernance-Vote: yes").await;
    // A name in a message is nobody's word, nor is a key that nobody knows.
    repo.commit("pia", "Yes of ivo\n\nGovernance-Vote: yes\nSigned-off-by: ivo").await;
    repo.commit("eve", "Yes\n\nGovernance-Vote: yes").await;
    repo.git(&["commit", "-q", "--allow-empty", "-m", "Yes\n\nGovernance-Vote: yes"]).await;
    let forged = "x\u{1e}\u{1f}G\u{1f}ivo\n\nGovernance-Vote: yes";
    repo.git(&["commit", "-q", "--allow-empty", "-m", forged]).await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(code == 4 && said.contains("pia: vote yes: refused, rule "), "{said}");
    assert!(
        said.contains("(1 yes, 0 no, 0 abstained of 4)") && said.contains("is signed by no known key"),
        "{said}"
    );
    repo.commit("ivo", "Yes\n\nGovernance-Vote: yes").await;
    assert_eq!(repo.ask("apply", &[]).await.0, 4);
    assert!(!repo.folder.path("repo/governance/events.jsonl").exists());
    repo.commit("jana", "On call\n\nGovernance-Evidence: owner-on-call until Friday").await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(code == 0 && said.contains("is accepted") && said.contains("payments/payments"), "{said}");
    assert_eq!(repo.ask("apply", &[]).await.0, 0);
    let events = repo.folder.read("repo/governance/events.jsonl");
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert!(
        events.contains("\"voted\"") && last["what"]["record_changed"]["record"] == "upstream:pay-eu",
        "{events}"
    );
    // What was said was said of what was there.
    std::fs::remove_file(repo.folder.path("repo/governance/events.jsonl")).unwrap();
    repo.upstream("pia", "http://127.0.0.1:9/other").await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(code == 4 && said.contains("revises it") && said.contains("needs evidence"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_the_log_changes_files_unsigned_or_gives_himself_a_key() {
    let repo = Repo::begin(&rules(false)).await;
    repo.write("tidegate.yaml", &format!("{CONFIG}  pay-eu:\n    url: http://127.0.0.1:9/mcp\n"));
    repo.git(&["commit", "-q", "-a", "-m", "unsigned"]).await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(code == 4 && said.contains("is not signed by a key of governance/signers"), "{said}");
    repo.git(&["reset", "-q", "--hard", "main"]).await;
    repo.write("governance/events.jsonl", "{}\n");
    repo.git(&["add", "-A"]).await;
    repo.commit("hana", "History as I like it").await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(code == 4 && said.contains("which `apply` alone writes"), "{said}");
    repo.git(&["reset", "-q", "--hard", "main"]).await;
    let public = std::fs::read_to_string(repo.folder.path("keys-eve.pub")).unwrap();
    let signers = repo.folder.read("repo/governance/signers");
    repo.write("governance/signers", &format!("{signers}ana namespaces=\"git\" {}\n", public.trim()));
    repo.commit("eve", "I am ana").await;
    assert_eq!(repo.ask("plan", &[]).await.0, 4, "the keys are those of main");
    repo.git(&["reset", "-q", "--soft", "HEAD~1"]).await;
    repo.commit("hana", "eve is ana\n\nGovernance-Risk: low").await;
    let ran = repo.ask("plan", &["--output", "json"]).await.1;
    let report: Value = serde_json::from_str(&ran).unwrap();
    assert_eq!(
        (&report["found"]["kind"], &report["found"]["risk"]),
        (&"ruleset".into(), &"high".into()),
        "{report}"
    );
    let (code, said) = repo.ask("plan", &["--head", "--output=x"]).await;
    assert!(code != 0 && code != 4, "{said}");
    let (code, said) = repo.ask("plan", &["--head=--all"]).await;
    assert!(code == 1 && said.contains("find the commit"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_for_comments_passes_from_when_a_commit_was_seen_and_not_from_its_date() {
    let repo = Repo::begin(&rules(true)).await;
    repo.git(&["config", "user.name", "x"]).await;
    repo.upstream("pia", "http://127.0.0.1:9/mcp").await;
    repo.commit("fay", "Looked at\n\nGovernance-Evidence: security-scan report 7").await;
    for voter in ["hana", "ivo"] {
        repo.commit(voter, "Yes\n\nGovernance-Vote: yes").await;
    }
    repo.commit("jana", "On call\n\nGovernance-Evidence: owner-on-call now").await;
    let (code, said) = repo.ask("plan", &["--seen", "seen.json"]).await;
    assert!(code == 4 && said.contains("needs comment_period"), "{said}");
    let mut seen: Value = serde_json::from_str(&repo.folder.read("seen.json")).unwrap();
    let times = seen.as_object_mut().unwrap();
    assert_eq!(times.len(), 5);
    // Two days ago by the calendar of the rules, before the last evidence, which is at most three days old.
    let early = times.values().next().unwrap().as_u64().unwrap() - 60 * 3_600_000;
    times.values_mut().for_each(|at| *at = early.into());
    repo.folder.write("seen.json", &seen.to_string());
    let (_, said) = repo.ask("plan", &["--seen", "seen.json"]).await;
    assert!(said.contains("has   comment_period") || said.contains("is accepted"), "{said}");
    let (_, said) = repo.ask("plan", &[]).await;
    assert!(said.contains("needs comment_period"), "without the file all is seen now: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_is_under_rules_as_what_it_makes_of_the_configuration_or_as_a_whole() {
    let repo = Repo::begin(&rules(false)).await;
    let overlay = "tidegate.production.yaml";
    repo.write(overlay, "limits: {page_size: ${size}}\n");
    repo.git(&["add", "-A"]).await;
    repo.git(&["commit", "-q", "-m", "unsigned"]).await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(
        code == 4 && said.contains("is not signed by a key of"),
        "no overlay goes past the rules: {said}"
    );
    repo.git(&["reset", "-q", "--hard", "main"]).await;
    repo.write(overlay, "upstreams:\n  pay-eu:\n    url: http://127.0.0.1:9/mcp\n");
    repo.git(&["add", "-A"]).await;
    let trailers = "Governance-Risk: medium\nGovernance-Area: customer-facing";
    repo.commit("pia", &format!("Payments in the EU\n\n{trailers}")).await;
    let plan = async |words: &[&str]| {
        let (code, said) = repo.ask("plan", &[words, &["--output", "json"]].concat()).await;
        (code, serde_json::from_str::<Value>(&said).unwrap_or(Value::String(said)))
    };
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(
        code == 4 && said.contains("on track rules only"),
        "that of another environment is rules: {said}"
    );
    let (code, said) = repo.ask("plan", &["--env", "production"]).await;
    assert!(code == 1 && said.contains("it is not in the commit"), "the base has none: {said}");
    repo.git(&["checkout", "-q", "main"]).await;
    repo.write(overlay, "limits: {page_size: 100}\n");
    repo.git(&["add", "-A"]).await;
    repo.git(&["commit", "-q", "-m", "an overlay"]).await;
    repo.git(&["checkout", "-q", "change"]).await;
    repo.git(&["reset", "-q", "--hard", "main"]).await;
    repo.write(overlay, "limits: {page_size: 100}\nupstreams:\n  pay-eu:\n    url: http://127.0.0.1:9/mcp\n");
    repo.commit("pia", &format!("Payments in the EU\n\n{trailers}")).await;
    let (code, report) = plan(&["--env", "production"]).await;
    assert_eq!((code, &report["found"]["kind"]), (4, &"upstream".into()), "what it makes: {report}");
}

/// Whether GnuPG is on this machine.
async fn has_gnupg() -> bool {
    let argv = ["gpg", "--version"].map(str::to_owned).to_vec();
    let ran = egress::run(ChildOptions { argv, ..ChildOptions::default() }, 1 << 20, Duration::from_secs(60));
    ran.await.is_ok_and(|ran| ran.exit.code == Some(0))
}

impl Repo {
    /// A key of OpenPGP; its fingerprint.
    async fn openpgp(&self, owner: &str) -> String {
        let gpg = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
        self.tool(&[&gpg[..], &["--quick-generate-key", owner, "ed25519", "sign", "never"]].concat()).await;
        let listed = self.tool(&["gpg", "--batch", "--with-colons", "--list-keys", owner]).await;
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
        fingerprint.trim_matches(':').to_owned()
    }

    async fn signed(&self, fingerprint: &str, message: &str) {
        let key = format!("user.signingkey={fingerprint}");
        let format = ["-c", "gpg.format=openpgp", "-c", &key, "commit", "-q", "-S", "--allow-empty"];
        self.git(&[&format[..], &["-a", "-m", message]].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_openpgp_count_by_their_fingerprints_and_not_by_what_they_say_of_their_owners() {
    if !has_gnupg().await {
        eprintln!("there is no gpg on this machine: signatures of OpenPGP are not tried");
        return;
    }
    let repo = Repo::begin(&rules(false)).await;
    let gnupg = repo.folder.path("gnupg");
    std::fs::create_dir_all(&gnupg).unwrap();
    std::fs::set_permissions(&gnupg, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (known, other) = (repo.openpgp("first@example.org").await, repo.openpgp("fay").await);
    let keys = repo.tool(&["gpg", "--batch", "--armor", "--export"]).await;
    repo.git(&["checkout", "-q", "main"]).await;
    let named = CONFIG.replace("operators: {", &format!("operators: {{'openpgp:{known}': fay, "));
    repo.write("tidegate.yaml", &named);
    repo.write("governance/openpgp.asc", &keys);
    repo.git(&["add", "-A"]).await;
    repo.git(&["commit", "-q", "-m", "keys of OpenPGP"]).await;
    repo.git(&["checkout", "-q", "change"]).await;
    repo.git(&["reset", "-q", "--hard", "main"]).await;
    repo.write("tidegate.yaml", &format!("{named}  pay-eu:\n    url: http://127.0.0.1:9/mcp\n"));
    repo.commit("pia", "Payments in the EU\n\nGovernance-Risk: medium\nGovernance-Area: customer-facing")
        .await;
    // A key that is there and is nobody's to the rules, though it says that it is fay's.
    repo.signed(&other, "Looked at\n\nGovernance-Evidence: security-scan report 7").await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(code == 4 && said.contains("needs evidence: security-scan"), "{said}");
    assert!(said.contains(&format!("openpgp:{other}: evidence security-scan report 7: refused")), "{said}");
    repo.signed(&known, "Looked at\n\nGovernance-Evidence: security-scan report 7").await;
    let (code, said) = repo.ask("plan", &[]).await;
    assert!(code == 4 && said.contains("fay: evidence security-scan report 7\n"), "{said}");
    assert!(!said.contains("needs evidence: security-scan"), "{said}");
    // What main does not have counts for nothing.
    let (_, said) = repo.ask("plan", &["--openpgp", "governance/none.asc"]).await;
    assert!(
        said.contains("is signed by no known key") && said.contains("needs evidence: security-scan"),
        "{said}"
    );
    let argv = ["gpgconf", "--kill", "all"];
    repo.tool(&argv).await;
}
