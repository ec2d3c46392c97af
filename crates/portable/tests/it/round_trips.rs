//! What was written is read as what was meant, and what was lost is in the report.

use portable::{Deployment, Fate, Field, Format, Origin, Server, Support, Target, Tidegate, clients, reduce};
use proptest::prelude::*;

use crate::models::deployment;

fn formats() -> Vec<&'static dyn Format> {
    let mut all = clients();
    all.push(&Tidegate);
    all
}

/// Without where it was read, and what is not known of a format.
fn bare(mut deployment: Deployment) -> Deployment {
    for server in deployment.servers.values_mut() {
        server.provenance = None;
    }
    deployment
}

fn same(format: &dyn Format, deployment: &Deployment) -> Result<(), TestCaseError> {
    let (meant, report) = reduce(deployment, format);
    let written = match format.export(deployment, &Target::default()) {
        Ok(written) => written,
        // An entry of a registry is of one server, and there is none.
        Err(_) if meant.servers.is_empty() && format.name() == "server-json" => return Ok(()),
        Err(fault) => return Err(TestCaseError::fail(format!("{}: {fault}", format.name()))),
    };
    prop_assert_eq!(&written.report, &report);
    let read = format.import(&written.text, &Origin::default());
    let read =
        read.map_err(|fault| TestCaseError::fail(format!("{}: {fault}\n{}", format.name(), written.text)))?;
    prop_assert!(read.refused.is_empty(), "{}: {:?}\n{}", format.name(), read.refused, written.text);
    prop_assert_eq!(bare(read.deployment), meant.clone(), "{}\n{}", format.name(), written.text);
    // Once more, into what is there: nothing is to be done.
    let target = Target { existing: Some(&written.text), ..Target::default() };
    let again = format.export(&meant, &target);
    let again = again.map_err(|fault| TestCaseError::fail(format!("{}: {fault}", format.name())))?;
    prop_assert_eq!(again.text, written.text.clone(), "{} writes twice", format.name());
    let fates: Vec<_> = again.report.changed().filter(|loss| loss.fate == Fate::Dropped).collect();
    prop_assert!(fates.is_empty(), "{}: what is left is lost again: {fates:?}", format.name());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read_as_what_the_report_leaves(deployment in deployment()) {
        for format in formats() {
            same(format, &deployment)?;
        }
    }

    #[test]
    fn what_goes_from_one_format_to_another_comes_back_as_the_two_reports_say(
        deployment in deployment(), from in 0..16_usize, to in 0..16_usize,
    ) {
        let all = formats();
        let (from, to) = (all[from % all.len()], all[to % all.len()]);
        let (first, _) = reduce(&deployment, from);
        same(to, &first)?;
    }
}

/// A server that says everything.
fn full(remote: bool) -> Deployment {
    let mut server = if remote { Server::at("https://a.example/mcp") } else { Server::program(&["x", "y"]) };
    server.tools.deny = vec!["drop".to_owned()];
    server.tools.allow = Some(vec!["keep".to_owned()]);
    server.enabled = false;
    let mut deployment = Deployment::default();
    deployment.servers.insert("a".to_owned(), server);
    deployment
}

#[test]
fn a_format_without_a_place_for_what_guards_says_so() {
    for format in formats() {
        for remote in [false, true] {
            let (left, report) = reduce(&full(remote), format);
            let Some(server) = left.servers.get("a") else {
                // Left out: nobody can use it.
                continue;
            };
            assert!(!server.enabled, "{}: it would be used", format.name());
            let lost = |field: Field| matches!(format.support(field), Support::Dropped(_));
            let is_lost = lost(Field::ToolsDeny) || lost(Field::ToolsAllow);
            assert_eq!(report.guards_lost(), is_lost, "{}: {report}", format.name());
            assert_eq!(server.tools.deny.is_empty(), lost(Field::ToolsDeny), "{}", format.name());
        }
    }
}
