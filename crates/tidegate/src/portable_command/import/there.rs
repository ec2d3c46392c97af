//! What the configuration has already, beside which servers of clients go.

use std::path::Path;

use anyhow::Context as _;
use config::mcp_json::names_for;
use portable::{Deployment, Format as _, Origin, Report, Server, Target, Tidegate, Tools};

use super::move_into;

/// The upstreams that are there.
pub struct There<'a> {
    /// They, as the portable model has them.
    pub known: &'a Deployment,
    /// Where secrets go that stand in servers.
    pub secrets: Option<&'a Path>,
    /// Whether a server takes the place of one of the same name.
    pub replace: bool,
}

/// Where a server goes.
pub enum Place {
    /// Nothing is called so, once it has a name that the gateway takes.
    Free(String),
    /// The same; another one is called as it was.
    Beside(String),
    /// It is there, under this name.
    Same(String),
    /// In the place of another one of this name.
    Instead(String),
}

impl There<'_> {
    /// Where a server goes, with `others` going there as well.
    ///
    /// # Errors
    /// Where the folder of secrets cannot be found.
    pub fn place(
        &self,
        name: &str,
        client: &str,
        server: &Server,
        others: &[String],
    ) -> anyhow::Result<Place> {
        let mut beside = false;
        for number in 0.. {
            let candidate = match number {
                0 => name.to_owned(),
                1 => format!("{name}-{client}"),
                _ => format!("{name}-{client}-{number}"),
            };
            if others.contains(&candidate) {
                continue;
            }
            let own = names_for(&[&candidate]).pop().unwrap_or_default();
            let Some(known) = self.known.servers.get(&own) else {
                return Ok(if beside { Place::Beside(candidate) } else { Place::Free(candidate) });
            };
            if self.is_same(known, &own, server)? {
                return Ok(Place::Same(own));
            }
            if self.replace && number == 0 {
                return Ok(Place::Instead(own));
            }
            beside = true;
        }
        Ok(Place::Beside(name.to_owned()))
    }

    /// Whether a server is one that is there: it starts or reaches the same with the same, and guards no
    /// more.
    /// What the configuration says of that one besides stays.
    fn is_same(&self, known: &Server, own: &str, server: &Server) -> anyhow::Result<bool> {
        let mut one = Deployment::default();
        one.servers.insert(own.to_owned(), server.clone());
        if let Some(folder) = self.secrets {
            let folder = std::path::absolute(folder).context("find the folder of secrets")?;
            let moved = move_into(&mut one, &folder);
            let is_kept =
                |file: &str, value: &str| std::fs::read(file).is_ok_and(|it| it == value.as_bytes());
            if !moved.iter().all(|one| is_kept(&one.place, one.value.expose())) {
                return Ok(false);
            }
        }
        let written = Tidegate.export(&one, &Target::default());
        let read = written.and_then(|written| Tidegate.import(&written.text, &Origin::default()));
        let Ok(read) = read else { return Ok(false) };
        let Some(server) = read.deployment.servers.get(own) else { return Ok(false) };
        let alike = (&server.argv, &server.url, &server.cwd, &server.env, &server.env_file, &server.headers)
            == (&known.argv, &known.url, &known.cwd, &known.env, &known.env_file, &known.headers);
        let guarded = server.tools == Tools::default() || server.tools == known.tools;
        Ok(alike && guarded && (server.oauth.is_none() || server.oauth == known.oauth))
    }

    /// Tells what goes with an upstream that is replaced.
    pub fn tell(&self, own: &str, report: &mut Report) {
        let Some(known) = self.known.servers.get(own) else { return };
        let reached = Server {
            transport: known.transport,
            argv: known.argv.clone(),
            url: known.url.clone(),
            cwd: known.cwd.clone(),
            env: known.env.clone(),
            env_file: known.env_file.clone(),
            headers: known.headers.clone(),
            title: known.title.clone(),
            description: known.description.clone(),
            provenance: known.provenance.clone(),
            ..Server::default()
        };
        if *known != reached {
            let meaning = "what the configuration said of the one that was there is gone: lists of tools, \
                           limits, a sandbox and the like";
            report.dropped(format!("upstreams.{own}"), true, meaning);
        }
    }
}
