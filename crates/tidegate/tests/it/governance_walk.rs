//! The walkthroughs of `docs/governance.md`: each of their commands is run, and prints what the page says.
//! `UPDATE_DOCS=1` writes what they print anew.

use std::path::PathBuf;

use crate::program::Folder;

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/governance.md")
}

/// The words of a command line with quotes, and the file that its output goes to.
fn words(line: &str) -> (Vec<String>, Option<String>) {
    let (line, file) = match line.rsplit_once(" > ") {
        Some((line, file)) => (line, Some(file.trim().to_owned())),
        None => (line, None),
    };
    let (mut all, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => all.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    all.extend(word);
    (all, file)
}

/// The last hash in a text: 64 hexadecimal digits behind `sha256:`.
fn hash(text: &str) -> Option<String> {
    let found = text.rmatch_indices("sha256:").map(|(at, _)| &text[at + 7..]);
    let mut whole = found.filter_map(|rest| rest.get(..64));
    whole.find(|hash| hash.bytes().all(|b| b.is_ascii_hexdigit())).map(str::to_owned)
}

/// The length of a time or a day at the beginning of a text, and the word for it.
fn moment(text: &str) -> Option<(usize, &'static str)> {
    let fits = |form: &str| {
        let bytes = text.as_bytes().get(..form.len())?;
        let same =
            bytes.iter().zip(form.bytes()).all(|(b, f)| if f == b'9' { b.is_ascii_digit() } else { *b == f });
        same.then_some(form.len())
    };
    for form in ["9999-99-99T99:99:99.999Z", "9999-99-99T99:99:99Z", "9999-99-99 99:99"] {
        if let Some(length) = fits(form) {
            return Some((length, "TIME"));
        }
    }
    fits("9999-99-99").map(|length| (length, "DAY"))
}

/// What is another one each time, in words that stay.
fn settled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let hex = rest.strip_prefix("sha256:").and_then(|rest| rest.get(..64));
        if hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            out.push_str("sha256:HASH");
            rest = &rest["sha256:".len() + 64..];
        } else if let Some((length, word)) = moment(rest) {
            out.push_str(word);
            rest = &rest[length..];
        } else {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    out
}

/// Runs the commands of a block, and gives the block with what they printed.
async fn run(folder: &Folder, block: &str, last: &mut String) -> String {
    let mut out = String::new();
    for line in block.lines().filter_map(|line| line.strip_prefix("$ tidegate ")) {
        let (words, file) = words(&line.replace("$HASH", last));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = folder.run(&words).await;
        out.push_str(&format!("$ tidegate {line}\n"));
        if let Some(file) = file {
            assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
            folder.write(&file, &ran.stdout);
            continue;
        }
        let said = format!("{}{}", ran.stdout, ran.stderr);
        // A refusal is a part of the story; a command that is wrong is not.
        assert!(matches!(ran.code, 0 | 4), "{line}: {said}");
        if let Some(found) = hash(&said) {
            *last = found;
        }
        // What is played at times that are given prints the same at any time.
        let said = if words.contains(&"explain") { said } else { settled(&said) };
        out.push_str(&said);
        if ran.code != 0 {
            out.push_str(&format!("[exit code {}]\n", ran.code));
        }
    }
    out
}

/// A walkthrough with what its commands print: files in blocks with a name, commands in blocks of a console.
async fn walk(text: &str) -> String {
    let folder = Folder::new();
    let (mut out, mut last) = (String::new(), String::new());
    let mut parts = text.split("```");
    out.push_str(parts.next().unwrap_or_default());
    while let (Some(block), after) = (parts.next(), parts.next()) {
        let (info, body) = block.split_once('\n').unwrap_or((block, ""));
        match info.split_once(' ') {
            Some((_, name)) => {
                folder.write(name, body);
                out.push_str(&format!("```{block}```"));
            }
            None => out.push_str(&format!("```{info}\n{}```", run(&folder, body, &mut last).await)),
        }
        out.push_str(after.unwrap_or_default());
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn each_preset_has_a_walkthrough_whose_commands_print_what_the_page_says() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (mut made, mut walked) = (String::new(), Vec::new());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("<!-- walk ") {
        let (name, after) = after.split_once(" -->\n").unwrap();
        let (body, after) = after.split_once("<!-- walked -->").unwrap();
        made.push_str(&format!("{before}<!-- walk {name} -->\n{}<!-- walked -->", walk(body).await));
        walked.push(name);
        rest = after;
    }
    made.push_str(rest);
    assert_eq!(walked, ["solo", "team", "enterprise", "mcp-2026"]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page(), made).unwrap();
    } else {
        assert_eq!(made, text, "docs/governance.md says something else than the program; see UPDATE_DOCS");
    }
}

#[test]
fn a_command_line_of_the_page_is_read_as_a_shell_reads_it() {
    let (found, file) = words("propose --title \"A wiki\" --as \"\" > new.yaml");
    assert_eq!(
        (found, file.as_deref()),
        (
            vec!["propose".into(), "--title".into(), "A wiki".into(), "--as".into(), String::new()],
            Some("new.yaml")
        )
    );
    assert_eq!(settled("on 2026-12-01, at 2026-12-01T09:00:00.123Z"), "on DAY, at TIME");
}
