//! `tidegate keys`.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::Value;

use crate::program::Folder;

const FILE: &str = "keys: {file: keys.txt}";

/// A folder with a configuration and a first ring.
async fn ring() -> Folder {
    let folder = Folder::with(FILE);
    folder.run(&["keys", "generate"]).await.good();
    folder
}

/// The keys, as programs get them.
async fn list(folder: &Folder) -> Vec<Value> {
    let listed = folder.run(&["keys", "list", "--output", "json"]).await.json();
    listed.as_array().unwrap().clone()
}

fn states(keys: &[Value]) -> String {
    keys.iter().map(|key| key["state"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// The keys themselves: the last fields of the ring's lines.
fn secrets(folder: &Folder) -> Vec<String> {
    let text = folder.read("keys.txt");
    let lines = text.lines().filter(|line| !line.starts_with(['#', 't']));
    lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

fn mode(folder: &Folder) -> u32 {
    std::fs::metadata(folder.path("keys.txt")).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_first_ring_is_made_for_its_owner_alone_and_never_over_another() {
    let folder = Folder::with(FILE);
    let said = folder.run(&["keys", "generate"]).await.good();
    assert_eq!(mode(&folder), 0o600);
    let keys = list(&folder).await;
    assert_eq!(states(&keys), "active");
    assert_eq!(keys[0]["retiredAt"], Value::Null);
    assert_eq!(keys[0]["created"], keys[0]["activeFrom"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].split_whitespace().eq("KEY STATE CREATED ACTIVE FROM RETIRED AT".split(' ')), "{said}");
    assert!(lines[1].contains(keys[0]["id"].as_str().unwrap()), "{said}");
    let before = folder.read("keys.txt");
    let said = folder.run(&["keys", "generate"]).await.bad(1);
    assert_eq!(
        said,
        "tidegate: failed to make keys.txt: it is there already; `tidegate keys rotate` adds a key\n"
    );
    assert_eq!(folder.read("keys.txt"), before);
    assert!(!folder.path(".keys.txt.new").exists());
}

#[tokio::test]
async fn a_ring_is_printed_where_no_file_is_configured() {
    let folder = Folder::new();
    let text = folder.run(&["keys", "generate"]).await.good();
    assert!(text.starts_with("tidegate-keys 1\n"), "{text}");
    folder.configure(FILE);
    let other = folder.run(&["keys", "generate", "--print"]).await.good();
    assert!(other.starts_with("tidegate-keys 1\n") && other != text);
    assert!(!folder.path("keys.txt").exists(), "it was only printed");
    folder.write("keys.txt", &text);
    assert_eq!(states(&list(&folder).await), "active");
}

#[tokio::test]
async fn a_new_key_waits_and_those_before_it_retire_when_their_handles_are_over() {
    let folder = Folder::with(&format!("{FILE}\nsessions: {{ttl: 96h}}"));
    folder.run(&["keys", "generate"]).await.good();
    let rotated = folder.run(&["keys", "rotate", "--output", "json"]).await.json();
    assert_eq!(Value::from(list(&folder).await), rotated);
    assert_eq!(states(rotated.as_array().unwrap()), "active next");
    let time = |at: &Value| seal::time_from_text(at.as_str().unwrap()).unwrap().0;
    let (created, active) = (time(&rotated[1]["created"]), time(&rotated[1]["activeFrom"]));
    assert_eq!(active - created, 5 * 60 * 1_000, "every replica has read it by then");
    assert_eq!(time(&rotated[0]["retiredAt"]) - active, (96 * 3_600 + 60) * 1_000, "sessions live longest");
    // Two at once: the old one opens as long as it was told to.
    let said = folder.run(&["keys", "rotate", "--after", "1h", "--keep", "90d"]).await.good();
    assert_eq!(said.lines().count(), 4, "{said}");
    let keys = list(&folder).await;
    assert_eq!((states(&keys), &keys[0]), ("active next next".to_owned(), &rotated[0]));
    let kept = time(&keys[1]["retiredAt"]) - time(&keys[2]["activeFrom"]);
    assert_eq!(kept, 90 * 24 * 3_600 * 1_000);
}

#[tokio::test]
async fn a_key_is_retired_at_once_but_never_the_last() {
    let folder = ring().await;
    let old = list(&folder).await[0]["id"].as_str().unwrap().to_owned();
    let said = folder.run(&["keys", "retire", &old]).await.bad(1);
    let expected = format!(
        "tidegate: failed to retire the key {old}: no other key would seal; add one that does at once first: \
         `tidegate keys rotate --after 0s`\n"
    );
    assert_eq!(said, expected);
    let said = folder.run(&["keys", "rotate", "--after", "0s"]).await.stderr;
    assert!(said.starts_with("warning: a replica that has not read the new key after 0s answers"), "{said}");
    assert_eq!(states(&list(&folder).await), "opens active");
    folder.run(&["keys", "retire", &old]).await.good();
    let keys = list(&folder).await;
    assert_eq!((states(&keys), keys[0]["id"].as_str()), ("retired active".to_owned(), Some(&*old)));
    let said = folder.run(&["keys", "retire", "00000000"]).await.bad(1);
    assert!(said.contains("find the key 00000000 in the ring; `tidegate keys list` shows"), "{said}");
    let said = folder.run(&["keys", "retire", "everything"]).await.bad(2);
    assert!(said.contains("expected the id of a key: eight of 0-9 and a-f"), "{said}");
}

#[tokio::test]
async fn a_ring_that_will_run_dry_is_warned_of() {
    let folder = ring().await;
    folder.run(&["keys", "rotate"]).await.good();
    let keys = list(&folder).await;
    // The new key leaked before it was used: the old one has its end already.
    let ran = folder.run(&["keys", "retire", keys[1]["id"].as_str().unwrap()]).await;
    let until = keys[0]["retiredAt"].as_str().unwrap();
    let expected = format!(
        "warning: no key seals from {until} on; `tidegate keys rotate --after 0s` adds a key that seals at \
         once\n"
    );
    assert_eq!((ran.code, ran.stderr), (0, expected));
}

#[tokio::test]
async fn nothing_that_is_said_of_a_ring_shows_a_key() {
    let folder = ring().await;
    let mut said = String::new();
    for command in [&["list"][..], &["rotate"], &["list", "--output", "json"], &["retire", "00000000"]] {
        let ran = folder.run(&[&["keys"], command].concat()).await;
        said.push_str(&format!("{ran:?}"));
    }
    let line = folder.read("keys.txt").lines().last().unwrap().to_owned();
    folder.write("keys.txt", &format!("tidegate-keys 1\n{line}\n{line} x\n"));
    let ran = folder.run(&["keys", "list"]).await;
    said.push_str(&ran.clone().bad(3));
    let secrets = secrets(&folder);
    assert!(!secrets.is_empty() && !said.contains(&secrets[0][..8]), "{said}");
}

#[tokio::test]
async fn a_file_that_is_no_ring_is_refused_with_its_place_and_left_alone() {
    let folder = Folder::with(FILE);
    let said = folder.run(&["keys", "list"]).await.bad(3);
    let missing =
        "tidegate: failed to read keys.txt: there is no such file; `tidegate keys generate` makes it\n";
    assert_eq!(said, missing);
    assert_eq!(folder.run(&["keys", "rotate"]).await.bad(3), missing);
    let text = "tidegate-keys 1\n\n0001abff 2026-11-23T06:48:00Z soon - AAAA\n";
    folder.write("keys.txt", text);
    for command in [&["list"][..], &["rotate"], &["retire", "0001abff"], &["rotate", "--print"]] {
        let said = folder.run(&[&["keys"], command].concat()).await.bad(3);
        let expected = "tidegate: failed to use the key ring:\nkeys.txt:3: the field \"active from\" is no \
                        time in UTC; write it as 2026-11-23T06:48:00Z\n";
        assert_eq!(said, expected);
    }
    assert_eq!(folder.read("keys.txt"), text);
    std::fs::write(folder.path("keys.txt"), [0xff; 8]).unwrap();
    let said = folder.run(&["keys", "list"]).await.bad(3);
    assert!(said.contains("failed to read keys.txt: ") && said.contains("UTF-8"), "{said}");
    let said = Folder::with("store: {url: 'memory:'}").run(&["keys", "list"]).await.bad(3);
    assert!(said.contains("find a key ring: the configuration names none, and what there is ends"), "{said}");
}

#[tokio::test]
async fn a_ring_in_the_environment_is_listed_and_not_changed() {
    let folder = Folder::with("keys: {env: TIDEGATE_TEST_RING}");
    let text = folder.run(&["keys", "generate"]).await.good();
    let run = async |arguments: &[&str], ring: &str| {
        let mut command = folder.command(arguments);
        testkit::within(command.env("TIDEGATE_TEST_RING", ring).output()).await.unwrap()
    };
    let listed = run(&["keys", "list", "--output", "json"], &text).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["state"], "active");
    let refused = run(&["keys", "rotate"], &text).await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    let expected = "tidegate: failed to rotate: the key ring is in the environment variable \
                    TIDEGATE_TEST_RING; put what `tidegate keys rotate --print` prints where \
                    TIDEGATE_TEST_RING is set, and start the replicas again, one by one\n";
    assert_eq!(said, expected);
    let printed = run(&["keys", "rotate", "--print"], &text).await;
    let printed = String::from_utf8(printed.stdout).unwrap();
    let listed = run(&["keys", "list", "--output", "json"], &printed).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(states(listed.as_array().unwrap()), "active next");
    let said = folder.run(&["keys", "list"]).await.bad(3);
    assert_eq!(said, "tidegate: failed to read the environment variable TIDEGATE_TEST_RING: it is not set\n");
    let refused = run(&["keys", "list"], "tidegate-keys 1\nx").await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("\nthe environment variable TIDEGATE_TEST_RING, line 2: expected five"), "{said}");
}

#[tokio::test]
async fn rotations_at_the_same_time_lose_no_key() {
    let folder = ring().await;
    let rotations = (0..8).map(|_| folder.run(&["keys", "rotate"]));
    for ran in futures_util::future::join_all(rotations).await {
        ran.good();
    }
    let keys = list(&folder).await;
    assert_eq!(states(&keys), format!("active{}", " next".repeat(8)));
    assert_eq!(
        keys.iter().filter(|key| key["retiredAt"].is_null()).count(),
        1,
        "the newest alone has no end"
    );
}

#[tokio::test]
async fn a_replaced_file_keeps_its_readers_and_a_link_stays_a_link() {
    let folder = ring().await;
    let set = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("keys.txt"), permissions).unwrap();
    };
    for (before, after) in [(0o640, 0o640), (0o644, 0o640), (0o400, 0o600), (0o666, 0o640)] {
        set(before);
        folder.run(&["keys", "rotate"]).await.good();
        assert_eq!(mode(&folder), after, "{before:o}");
    }
    std::fs::create_dir(folder.path("data")).unwrap();
    std::fs::rename(folder.path("keys.txt"), folder.path("data/ring")).unwrap();
    std::os::unix::fs::symlink("data/ring", folder.path("keys.txt")).unwrap();
    let before = std::fs::metadata(folder.path("data/ring")).unwrap().ino();
    folder.run(&["keys", "rotate"]).await.good();
    assert!(std::fs::symlink_metadata(folder.path("keys.txt")).unwrap().is_symlink());
    assert_ne!(std::fs::metadata(folder.path("data/ring")).unwrap().ino(), before, "replaced as a whole");
    assert_eq!(list(&folder).await.len(), 6);
}
