//! The demo server as a program: this test binary, started again.

use std::collections::BTreeMap;

use config::{Secret, Upstream};
use demo::Server;
use testkit::Revision;

const VARIABLE: &str = "TIDEGATE_TEST_SERVES";
const NAME: &str = "sessions::child::serves_where_it_is_told_to";

/// An upstream that is started as a program and speaks this revision.
pub fn upstream(revision: Revision) -> Upstream {
    let program = std::env::current_exe().expect("a program").display().to_string();
    let arguments = [NAME, "--exact", "--ignored", "--nocapture"].map(str::to_owned);
    Upstream {
        command: Some([program].into_iter().chain(arguments).collect()),
        env: BTreeMap::from([(VARIABLE.to_owned(), Secret::plain(revision.as_str()))]),
        ..Upstream::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is no test, but what other tests start"]
async fn serves_where_it_is_told_to() {
    let Ok(revision) = std::env::var(VARIABLE) else { return };
    let revision = Revision::parse(&revision).expect("a revision");
    let server = Server::builder().memory(true).revisions(&[revision]).build();
    // Whoever started it may be gone.
    let _ = server.serve_stdio(tokio::io::stdin(), tokio::io::stdout()).await;
    std::process::exit(0);
}
