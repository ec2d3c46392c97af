//! The cells: which revision the suite speaks, and what it speaks to.

use crate::Result;
use crate::cluster::Cluster;
use crate::run::{Running, bound};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// The tools that the suite wants as tasks; their server runs them as any other, and the gateway hosts them.
const TASKS: &str = "\
tasks:
  host:
    - {tools: 'failing_job', when: always, required: true}
    - {tools: 'test_tool_with_task', when: after_questions, required: true}
    - {tools: 'slow_compute', when: always}
    - {tools: 'protocol_error_job', when: always}
    - {tools: 'confirm_delete', when: always}
    - {tools: 'multi_input', when: always}
";

/// How long a program may take until it says where it listens.
const START: Duration = Duration::from_secs(20);

/// One run of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Its name in results and in the list of expected failures.
    pub name: &'static str,
    /// The word that selects it on the command line.
    pub group: &'static str,
    /// The revision whose requirements are run, on that revision's wire.
    pub revision: &'static str,
    pub subject: Subject,
}

/// What the suite is run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The gateway in front of a server that speaks one era only, whose own tasks it passes through or makes
    /// its own.
    Gateway { upstream: Era, adopts: bool },
    /// That server without a gateway: what cannot pass here cannot pass through either.
    Server { era: Era },
    /// The gateway's upstream side, as the client of the suite's own servers.
    Client,
    /// The gateway as an authorization server, with somebody who signs in.
    Issuer,
}

/// What a server of the cells speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Legacy,
    Modern,
}

impl Era {
    fn word(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }

    fn revision(self) -> &'static str {
        match self {
            Self::Legacy => LEGACY,
            Self::Modern => MODERN,
        }
    }
}

/// Every cell. Those without a gateway come first, as others are compared with them; the names of those with
/// one are the client's revision and the upstream's era.
pub const CELLS: [Cell; 10] = [
    direct("direct_2025-11-25", LEGACY, Era::Legacy),
    direct("direct_2026-07-28", MODERN, Era::Modern),
    through("2025-11-25_legacy", "legacy-legacy", LEGACY, Era::Legacy),
    through("2025-11-25_modern", "legacy-modern", LEGACY, Era::Modern),
    through("2026-07-28_legacy", "modern-legacy", MODERN, Era::Legacy),
    through("2026-07-28_modern", "modern-modern", MODERN, Era::Modern),
    Cell {
        name: "2026-07-28_adopted",
        group: "adopted",
        revision: MODERN,
        subject: Subject::Gateway { upstream: Era::Modern, adopts: true },
    },
    Cell { name: "client_2025-11-25", group: "client", revision: LEGACY, subject: Subject::Client },
    Cell { name: "client_2026-07-28", group: "client", revision: MODERN, subject: Subject::Client },
    Cell { name: "issuer_2026-07-28", group: "issuer", revision: MODERN, subject: Subject::Issuer },
];

const fn through(name: &'static str, group: &'static str, revision: &'static str, upstream: Era) -> Cell {
    Cell { name, group, revision, subject: Subject::Gateway { upstream, adopts: false } }
}

const fn direct(name: &'static str, revision: &'static str, era: Era) -> Cell {
    Cell { name, group: "direct", revision, subject: Subject::Server { era } }
}

impl Cell {
    /// The suite's word for the role that is tested.
    pub fn role(&self) -> &'static str {
        match self.subject {
            Subject::Gateway { .. } | Subject::Server { .. } => "server",
            Subject::Client => "client",
            Subject::Issuer => "authorization-server",
        }
    }

    /// The cell without a gateway that this one must equal: where both sides speak one era, nothing is lost.
    pub fn control(&self) -> Option<&'static str> {
        let equals = |cell: &&Self| match (self.subject, cell.subject) {
            (Subject::Gateway { upstream, .. }, Subject::Server { era }) => {
                upstream == era && self.revision == era.revision() && cell.revision == self.revision
            }
            _ => false,
        };
        CELLS.iter().find(equals).map(|cell| cell.name)
    }

    /// Scenarios that no requirement set holds, run and reported with the others.
    pub fn extra_scenarios(&self) -> &'static [&'static str] {
        match (self.subject, self.revision == MODERN) {
            (Subject::Client, true) => &[
                "sep-2640-client-no-prefetch",
                "sep-2640-client-verify-digest",
                "sep-2640-client-verify-size",
                "sep-2640-client-verify-frontmatter",
            ],
            // The protocol asks nothing of authorization servers, so that all of these are in no set.
            (Subject::Issuer, _) => &["authorization-server-metadata-endpoint", "authorization-code-grant"],
            (_, true) => {
                &["sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest"]
            }
            // The suite's `backcompat` group: servers of 2025-03-26, their own authorization servers.
            (Subject::Client, false) => {
                &["auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback"]
            }
            (_, false) => &[],
        }
    }
}

/// The programs that the cells are made of.
#[derive(Debug)]
pub struct Programs {
    pub gateway: PathBuf,
    pub server: PathBuf,
}

/// What runs while the suite runs. Everything stops when this value goes, the gateway before its upstream.
#[derive(Debug)]
pub struct Stage {
    pub url: String,
    gateway: Option<Gateway>,
    _server: Running,
}

/// What stands before the server. The values are kept, as they stop what they stand for.
#[derive(Debug)]
enum Gateway {
    One(#[expect(dead_code, reason = "kept until the run is over")] Running),
    Several(Box<Cluster>),
}

/// How many gateways there are.
#[derive(Debug, Clone, Copy)]
pub enum Front<'a> {
    None,
    One,
    /// So many replicas, behind a balancer.
    Replicas(usize, &'a Workspace),
}

impl Stage {
    /// Fails if one of several replicas has ended before the run has.
    pub fn must_live(&mut self) -> Result {
        match &mut self.gateway {
            Some(Gateway::Several(cluster)) => cluster.must_live(),
            Some(Gateway::One(_)) | None => Ok(()),
        }
    }

    /// Starts the server, and the gateway in front of it where the cell has one.
    pub fn start(
        upstream: Era,
        adopts: bool,
        front: Front<'_>,
        programs: &Programs,
        folder: &Path,
    ) -> Result<Self> {
        let mut command = bound(&programs.server);
        command.args(["server", "--listen", "127.0.0.1:0", "--era", upstream.word()]);
        let mut server = Running::start("tidegate-fixture", &mut command, &folder.join("fixture.log"))?;
        let port = server.wait_for("its address", START, |output| listening_port(output, None))?;
        let url = format!("http://127.0.0.1:{port}/mcp");
        let upstreams =
            format!("upstreams:\n  fixture:\n    url: {url}\n    revision: {}\n", upstream.revision());
        let upstreams = match upstream {
            Era::Legacy => format!("{upstreams}{TASKS}"),
            Era::Modern if adopts => format!("{upstreams}    tasks: adopt\n"),
            Era::Modern => upstreams,
        };
        let (base, gateway) = match front {
            Front::None => return Ok(Self { url, gateway: None, _server: server }),
            Front::One => {
                let config = folder.join("tidegate.yaml");
                std::fs::write(
                    &config,
                    format!(
                        "listen: 127.0.0.1:0\ntelemetry: {{ log_level: debug, log_calls: all }}\n{upstreams}"
                    ),
                )
                .map_err(|e| format!("{}: {e}", config.display()))?;
                let mut command = bound(&programs.gateway);
                command.arg("up").arg("--config").arg(&config).env("XDG_STATE_HOME", folder);
                let mut running = Running::start("tidegate up", &mut command, &folder.join("tidegate.log"))?;
                let own =
                    running.wait_for("its endpoint", START, |output| listening_port(output, Some(port)))?;
                (format!("http://127.0.0.1:{own}"), Gateway::One(running))
            }
            Front::Replicas(count, workspace) => {
                let cluster = Cluster::start(workspace, &programs.gateway, count, &upstreams, folder)?;
                (cluster.balancer.url.clone(), Gateway::Several(Box::new(cluster)))
            }
        };
        Ok(Self { url: format!("{base}/fixture/mcp"), gateway: Some(gateway), _server: server })
    }
}

/// The port in the first whole `http://127.0.0.1:PORT` that is not the `other` one.
///
/// The gateway may print its upstreams before its own address.
fn listening_port(output: &str, other: Option<u16>) -> Option<u16> {
    let mut rest = output;
    while let Some((_, after)) = rest.split_once("http://127.0.0.1:") {
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        // At the very end of the output the number may still be incomplete.
        if digits == after.len() {
            return None;
        }
        let port = after.get(..digits).and_then(|text| text.parse().ok());
        if port.is_some() && port != other {
            return port;
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_that_is_not_the_upstreams_is_the_gateways() {
        let output = "fixture  http  http://127.0.0.1:9100/mcp\n  endpoint  http://127.0.0.1:7400/mcp\n";
        assert_eq!(listening_port(output, Some(9100)), Some(7400));
        assert_eq!(listening_port(output, None), Some(9100));
        assert_eq!(listening_port("starting\n", None), None);
    }

    #[test]
    fn an_address_that_is_still_being_written_does_not_count() {
        assert_eq!(listening_port("listening http://127.0.0.1:74", None), None);
        assert_eq!(listening_port("listening http://127.0.0.1:7400\n", None), Some(7400));
    }

    #[test]
    fn cells_have_names_of_their_own_and_say_what_they_run() {
        let mut names: Vec<_> = CELLS.iter().map(|cell| cell.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CELLS.len());
        for cell in CELLS {
            assert!(cell.name.contains(cell.revision));
        }
    }
}
