//! `tidegate audit`.

use testkit::within;

use crate::program::Folder;

const STORE: &str =
    "store: {url: 'sqlite:a.db'}\naudit: {origin: gate.example, checkpoint_interval: 100ms}\n";

/// A gateway that ran, and told of that.
async fn ran() -> Folder {
    let folder = Folder::with(STORE);
    let mut up = folder.up(&[]).await;
    within(async { while !folder.run(&["audit", "query"]).await.good().contains("gateway_start") {} }).await;
    up.stop().await;
    folder
}

async fn key(folder: &Folder) -> String {
    let keys = folder.run(&["audit", "keys", "--output", "json"]).await.json();
    assert_eq!((&keys[0]["tenant"], &keys[0]["signs"]), (&"default".into(), &true.into()), "{keys}");
    keys[0]["key"].as_str().expect("a key").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_looked_through_proved_exported_and_verified() {
    let folder = ran().await;
    let found = folder.run(&["audit", "query", "--kind", "gateway_stop", "--output", "json"]).await.json();
    assert_eq!(found[0]["record"]["principal_id"], "default/@tidegate", "{found}");
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    let none = folder.run(&["audit", "query", "--tool", "nothing"]).await.good();
    assert_eq!(none, "there are no such entries\n");
    let tail = folder.run(&["audit", "tail", "--lines", "1"]).await.good();
    assert!(tail.contains("gateway_stop") && tail.lines().count() == 1, "{tail}");

    let key = key(&folder).await;
    let receipt = folder.run(&["audit", "prove", "0"]).await.good();
    std::fs::write(folder.path("receipt.json"), &receipt).expect("written");
    let checked = folder.run(&["audit", "verify", "receipt.json", "--receipt", "--key", &key]).await.good();
    assert!(checked.contains("entry 0 is one of the 2 of gate.example/default"), "{checked}");
    let forged = receipt.replace("gateway_start", "gateway_stop!");
    std::fs::write(folder.path("forged.json"), forged).expect("written");
    let said = folder.run(&["audit", "verify", "forged.json", "--receipt", "--key", &key]).await.bad(1);
    assert!(said.contains("the entry does not fit its leaf"), "{said}");

    folder.run(&["audit", "export", "--format", "tiles", "--to", "log"]).await.good();
    // Elsewhere, without a configuration or a store.
    std::fs::remove_file(folder.path("a.db")).expect("removed");
    let good = folder.run(&["audit", "verify", "log", "--key", &key]).await.good();
    assert!(good.contains("gate.example/default: 2 entries are as they were signed"), "{good}");
    let file = folder.path("log/tile/entries/000.p/2");
    let bytes = std::fs::read(&file).expect("a bundle");
    let text = String::from_utf8_lossy(&bytes).replacen("gateway_start", "gateway_stare", 1);
    std::fs::write(&file, text.as_bytes()).expect("written");
    let said = folder.run(&["audit", "verify", "log", "--key", &key]).await.bad(1);
    assert!(said.contains("entry 0: edited"), "{said}");
    let said = folder.run(&["audit", "verify", "log", "--key", "nonsense"]).await.bad(2);
    assert!(said.contains("expected NAME+ID+KEY"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_written_in_the_words_of_others() {
    let folder = ran().await;
    for (format, said) in
        [("jsonl", "\"record\":{"), ("ocsf", "\"class_uid\":6003"), ("cef", "CEF:0|Tidegate|")]
    {
        let lines = folder.run(&["audit", "export", "--format", format]).await.good();
        assert!(lines.lines().count() == 2 && lines.lines().all(|line| line.contains(said)), "{lines}");
    }
    folder.run(&["audit", "export", "--format", "cef", "--to", "out.cef", "--from", "1"]).await.good();
    let file = std::fs::read_to_string(folder.path("out.cef")).expect("a file");
    assert!(file.lines().count() == 1 && file.contains("gateway_stop"), "{file}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_to_a_log_is_recorded_in_it() {
    let folder = ran().await;
    let held = folder.run(&["audit", "hold", "--reason", "case 7"]).await.good();
    assert_eq!(held, "the log of the tenant default is held\n");
    let said = folder.run(&["audit", "erase", "--subject", "ann", "--reason", "asked"]).await.bad(1);
    assert!(said.contains("the log is held (case 7)"), "{said}");
    folder.run(&["audit", "hold", "--release", "--reason", "closed"]).await.good();
    let erased = folder.run(&["audit", "erase", "--subject", "ann", "--reason", "asked"]).await.good();
    assert_eq!(erased, "0 captured contents were erased\n");
    for (kind, reason) in [("audit_hold", "case 7"), ("audit_release", "closed"), ("audit_erase", "asked")] {
        let found = folder.run(&["audit", "query", "--kind", kind, "--output", "json"]).await.json();
        assert_eq!(found[0]["record"]["detail"]["details"]["reason"], reason, "{found}");
    }
    let key = key(&folder).await;
    folder.run(&["audit", "export", "--format", "tiles", "--to", "log"]).await.good();
    folder.run(&["audit", "verify", "log", "--key", &key]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_writes_no_log() {
    let folder = Folder::with("store: {url: 'sqlite:a.db'}\naudit: {mode: off}\n");
    let mut up = folder.up(&[]).await;
    up.stop().await;
    assert_eq!(folder.run(&["audit", "query"]).await.good(), "there are no such entries\n");
    let said = folder.run(&["audit", "prove", "0"]).await.bad(1);
    assert!(said.contains("find the log of this tenant"), "{said}");
}
